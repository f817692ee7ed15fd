import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runProgram } from '../../cli/program.ts';
import { packageRoot } from '../../services/kit/package-root.ts';

const main = join(packageRoot, 'dist', 'cli', 'main.js');
/** Node's options in the program's first line. */
const nodeOptions = readFileSync(main, 'utf8').split('\n', 1)[0]!.split(' ').slice(3);

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunningCli {
  child: ChildProcess;
  /** Everything written to standard error so far. */
  stderr(): string;
  finished: Promise<CliResult>;
}

/** Starts the program as a user does. */
export function startCli(args: string[], environment: Record<string, string> = {}): RunningCli {
  const child = spawn(process.execPath, [...nodeOptions, main, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stderr.on('data', (data) => (stderr += data));
  const finished = once(child, 'close').then(([code]) => ({ code, stdout, stderr }));
  return { child, stderr: () => stderr, finished };
}

/** Runs the program to its end. */
export function runCli(args: string[], environment: Record<string, string> = {}): Promise<CliResult> {
  return startCli(args, environment).finished;
}

let lastCall: Promise<unknown> = Promise.resolve();

/**
 * Runs the program to its end in this process, which saves starting another: for commands that neither wait for a
 * signal nor write log lines. Only one runs at a time.
 */
export function callCli(args: string[], environment: Record<string, string> = {}): Promise<CliResult> {
  const call = lastCall.then(() => callNow(args, environment));
  lastCall = call.catch(() => {});
  return call;
}

async function callNow(args: string[], environment: Record<string, string>): Promise<CliResult> {
  const before = { env: { ...process.env }, exitCode: process.exitCode };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const listeners = signals.map((signal) => process.listeners(signal));
  const stdout = capture(process.stdout);
  const stderr = capture(process.stderr);
  Object.assign(process.env, environment);
  process.exitCode = 0;
  try {
    await runProgram(args);
    return { code: process.exitCode, stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    stdout.restore();
    stderr.restore();
    process.exitCode = before.exitCode;
    for (const name of Object.keys(environment)) {
      delete process.env[name];
    }
    Object.assign(process.env, before.env);
    for (const [index, signal] of signals.entries()) {
      for (const listener of process.listeners(signal).filter((each) => !listeners[index]!.includes(each))) {
        process.off(signal, listener);
      }
    }
  }
}

/** Captures what is written to a stream, which pretends to be a pipe. */
function capture(stream: NodeJS.WriteStream) {
  const { write, isTTY } = stream;
  let text = '';
  stream.isTTY = false;
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    const done = rest.at(-1);
    if (typeof done === 'function') {
      done();
    }
    return true;
  }) as typeof stream.write;
  return {
    text: () => text,
    restore() {
      Object.assign(stream, { write, isTTY });
    },
  };
}

/** A service in a separate process. */
export interface ServiceProcess {
  address: string;
  /** A gateway's HTTP address, `host:port`. */
  httpAddress: string | undefined;
  child: ChildProcess;
  /** Rejects with its output when it ends. */
  ended: Promise<never>;
  /** SIGTERM, then its exit code. */
  stop(): Promise<number | null>;
  /** Like `kill -9`. */
  kill(): Promise<void>;
}

/** Far longer than a start takes even on a busy machine: a hanging one is killed, and its test fails. */
const startMilliseconds = 600_000;

/**
 * Starts `fusionframes serve <name>`, on a free port unless another address is given, and waits until it serves;
 * rejects with what it wrote if it ends.
 *
 * @param name empty: the whole mesh
 */
export async function startService(
  name: string,
  environment: Record<string, string> = {},
  listen = '127.0.0.1:0',
  flags: readonly string[] = [],
): Promise<ServiceProcess> {
  const service = name === '' ? [] : [name];
  const { child, finished } = startCli(['serve', ...service, '--listen', listen, ...flags], {
    FUSIONFRAMES_HTTP_ADDRESS: '127.0.0.1:0',
    ...environment,
  });
  let httpAddress: string | undefined;
  const address = new Promise<string>((resolve) => {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      httpAddress ??= /^The page is at http:\/\/(\S+)\/$/.exec(line)?.[1];
      const match = / is serving on (\S+)$/.exec(line);
      if (match) {
        resolve(match[1] as string);
      }
    });
  });
  let isTooLong = false;
  const ended = finished.then(({ code, stderr }) => {
    const how = isTooLong ? `did not start within ${startMilliseconds / 1000} s` : `ended with ${code}`;
    throw new Error(`${name} ${how}: ${stderr}`);
  });
  ended.catch(() => {});
  const tooLong = setTimeout(() => {
    isTooLong = true;
    child.kill('SIGKILL');
  }, startMilliseconds);
  return {
    address: await Promise.race([address, ended]).finally(() => clearTimeout(tooLong)),
    httpAddress,
    child,
    ended,
    async stop() {
      child.kill('SIGTERM');
      return (await finished).code;
    },
    async kill() {
      child.kill('SIGKILL');
      await finished;
    },
  };
}

/** Polls until `condition` holds, for effects of another process. */
export async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
