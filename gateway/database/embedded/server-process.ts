import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Logger } from '../../../services/kit/log.ts';
import type { Installation } from './installation.ts';
import type { ServerUser } from './server-user.ts';

/** How long PostgreSQL may take to shut down before it is made to end, seconds. */
const patienceSeconds = 10;

/**
 * Runs a program and stops it (SIGINT: PostgreSQL's fast shutdown) when standard input ends; later it has to end (SIGQUIT),
 * also when it was stopped (SIGCONT). That is how this process stops it, and what happens when this process is killed. Descriptor 3 is standard input, which a shell takes
 * from the programs that it runs in the background.
 */
const untilInputEnds = `
"$@" </dev/null &
server=$!
{ read -r _ <&3; kill -INT $server; sleep ${patienceSeconds}; kill -QUIT $server; kill -CONT $server; } >/dev/null 2>&1 &
watch=$!
wait $server
code=$?
kill $watch 2>/dev/null
exit $code`;

/** How many bytes of the server's last words are kept to explain a start that failed. */
const maxRememberedLength = 4096;

/** A process of PostgreSQL's that ends with this one, however that ends. */
export interface ServerProcess {
  /** Resolves with its exit code when it has ended. */
  ended: Promise<number | null>;
  /** The last that it wrote. */
  lastWords(): string;
  /** Lets it shut down; every connection is closed. */
  stop(): Promise<void>;
}

/** Starts one of PostgreSQL's programs in a session of its own: a terminal's Ctrl-C must reach this process first. */
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
    // Nothing of this process's environment: PGDATA, PGPORT, LANG and the like would change what the server does.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC', ...environment },
    ...(user && { uid: user.uid, gid: user.gid }),
  });
  let words = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      words = (words + text).slice(-maxRememberedLength);
      log.debug({ postgres: text.trimEnd() }, 'PostgreSQL says');
    });
  }
  child.stdin.on('error', () => {});
  child.on('error', (error) => (words += error.message));
  const ended = exitOf(child);
  return {
    ended,
    lastWords: () => words.trim(),
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  try {
    const [code] = await once(child, 'close');
    return code as number | null;
  } catch {
    // It could not even be started; its last words say why.
    return null;
  }
}
