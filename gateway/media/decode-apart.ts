import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { ErrorReason } from '../../services/kit/error-reasons.ts';
import { FusionError, invalidField, inWords } from '../../services/kit/errors.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import { type Decoders, type DecodingAnswer, type DecodingTask, maxMemoryBytes } from './decoding-task.ts';

/** How long a request's files may take, seconds. */
const maxSeconds = 20;

const maxIdleProcesses = 2;
const maxIdleSeconds = 10;

/** Loaders of libraries read them. Nothing else of the environment reaches the process: it holds secrets. */
const passedVariables = ['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SystemRoot', 'TMPDIR', 'TEMP'];

/** Processes without a task, each with the timer that ends it: starting one takes 0.3 s of CPU time. */
const idleProcesses = new Map<ChildProcess, NodeJS.Timeout>();

/**
 * Calls one of the {@link Decoders} in a process of its own, within 20 s and 1 GiB. Throws what the decoder throws, and
 * INVALID_ARGUMENT naming the field, its first argument, when the file takes more or crashes the decoder.
 */
export async function decodeApart<Name extends keyof Decoders>(
  name: Name,
  ...args: Parameters<Decoders[Name]>
): Promise<Awaited<ReturnType<Decoders[Name]>>> {
  const child = takeProcess();
  const limit = timeLimit(maxSeconds * 1000);
  try {
    const answer = await ask(child, { name, args }, limit.signal);
    if (answer.isReusable) {
      keepProcess(child);
    }
    if ('fault' in answer) {
      const { code, message, reason, field } = answer.fault;
      throw new FusionError(code, message, { reason: reason as ErrorReason, ...(field !== undefined && { field }) });
    }
    return answer.value as Awaited<ReturnType<Decoders[Name]>>;
  } catch (error) {
    throw limit.isOver ? unusable(args[0], 'some that take longer') : error;
  } finally {
    limit.end();
    if (!idleProcesses.has(child)) {
      child.kill('SIGKILL');
    }
  }
}

async function ask(child: ChildProcess, task: DecodingTask, signal: AbortSignal): Promise<DecodingAnswer> {
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  try {
    const answered = once(child, 'message', { signal: either }).then(([answer]) => answer as DecodingAnswer);
    const exited = once(child, 'exit', { signal: either }).then(([, name]) => {
      throw unusable(
        task.args[0] as string,
        name === 'SIGKILL' ? 'some that take more memory' : 'some that crash the decoder',
      );
    });
    child.send(task);
    return await Promise.race([answered, exited]);
  } finally {
    ended.abort();
  }
}

function unusable(field: string, given: string): FusionError {
  const bounds = `${maxSeconds} seconds and ${maxMemoryBytes / 2 ** 20} MiB of memory`;
  return invalidField(field, inWords(given), `files that can be decoded within ${bounds}`);
}

function takeProcess(): ChildProcess {
  const [newest] = [...idleProcesses].at(-1) ?? [];
  if (newest) {
    clearTimeout(idleProcesses.get(newest));
    idleProcesses.delete(newest);
    newest.ref();
    newest.channel!.ref();
    return newest;
  }
  const child = fork(new URL('./decoding-process.js', import.meta.url), {
    execArgv: [],
    env: Object.fromEntries(
      passedVariables.flatMap((name) => (name in process.env ? [[name, process.env[name]]] : [])),
    ),
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  child.on('exit', () => forget(child));
  child.on('error', () => {});
  return child;
}

/** Keeps a process for the next files. It does not keep this one alive. */
function keepProcess(child: ChildProcess): void {
  if (idleProcesses.size >= maxIdleProcesses || !child.connected) {
    return;
  }
  child.unref();
  child.channel!.unref();
  const end = setTimeout(() => {
    forget(child);
    child.kill('SIGKILL');
  }, maxIdleSeconds * 1000).unref();
  idleProcesses.set(child, end);
}

function forget(child: ChildProcess): void {
  clearTimeout(idleProcesses.get(child));
  idleProcesses.delete(child);
}
