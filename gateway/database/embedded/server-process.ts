import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Logger } from '../../../services/kit/log.ts';
import { reasonOf } from '../../../services/kit/reason-of.ts';
import type { Installation } from './installation.ts';
import type { ServerUser } from './server-user.ts';

/** How long PostgreSQL may take to shut down before it is forced to end, in seconds. */
const patienceSeconds = 10;

/**
 * Runs a program and stops it (SIGINT: PostgreSQL's fast shutdown, sent every second, because a shell that only prepares its start
 * ignores it) when standard input ends. If it is still there later, it is forced to end (SIGCONT in case it was suspended, then SIGQUIT). This process stops it that way, and it
 * also works when this process is killed. Descriptor 3 duplicates standard input, which a shell closes for background
 * programs. A line on standard input sets how long to wait, in seconds.
 */
const untilInputEnds = `
"$@" </dev/null &
server=$!
{
  read -r patience <&3 || patience=${patienceSeconds}
  while [ $patience -gt 0 ]; do kill -INT $server; sleep 1; patience=$((patience - 1)); done
  kill -QUIT $server
  kill -CONT $server
} >/dev/null 2>&1 &
watch=$!
wait $server
code=$?
kill $watch 2>/dev/null
exit $code`;

/** How many of the last bytes of output are kept to explain a failed start. */
const maxRememberedLength = 4096;

/** A PostgreSQL process that ends with this one, even if this one is killed. */
export interface ServerProcess {
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
  /** The last lines of its output. */
  lastOutput(): string;
  /** Shuts it down and closes every connection; forces it to end after some seconds. */
  stop(patience?: number): Promise<void>;
}

/** Starts a PostgreSQL program in its own session, so that Ctrl-C in a terminal reaches this process first. */
export function startProcess(
  command: readonly string[],
  { environment }: Pick<Installation, 'environment'>,
  user: ServerUser | undefined,
  log: Logger,
): ServerProcess {
  const child = spawn('/bin/sh', ['-c', `exec 3<&0\n${untilInputEnds}`, 'fusionframes-postgres', ...command], {
    detached: true,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe'],
    // Inherits no environment: PGDATA, PGPORT, LANG and the like would change how the server behaves.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...environment },
    ...(user && { uid: user.uid, gid: user.gid }),
  });
  let words = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-maxRememberedLength);
      log.debug({ postgres: text.trimEnd() }, 'PostgreSQL output');
    });
  }
  child.stdin.on('error', () => {});
  child.on('error', (error) => (words += reasonOf(error)));
  const ended = exitOf(child);
  return {
    ended,
    lastOutput: () => words.trim(),
    async stop(patience = patienceSeconds) {
      child.stdin.end(`${patience}\n`);
      await ended;
    },
  };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  try {
    await once(child, 'close');
    return child.exitCode;
  } catch {
    // It could not even be started; its output says why.
    return null;
  }
}
