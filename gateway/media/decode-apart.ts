import { type ChildProcess, fork } from 'node:child_process';
import { Status } from 'nice-grpc-common';
import { deferred } from '../../services/kit/deferred.ts';
import type { ErrorReason } from '../../services/kit/error-reasons.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { libraryVariables } from '../../services/kit/library-variables.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { timeLimit } from '../../services/kit/time-limit.ts';
import {
  type Decoders,
  type DecodingAnswer,
  type DecodingTask,
  maxMemoryBytes,
  tooMuchMemory,
} from './decoding-task.ts';

/** How long a request's files may take, seconds. */
const maxSeconds = 20;

const maxIdleProcesses = 2;
const maxIdleSeconds = 10;

/** Processes without a task, each with the timer that ends it: starting one takes 0.3 s of CPU time. */
const idleProcesses = new Map<ChildProcess, NodeJS.Timeout>();

/**
 * Calls one of the {@link Decoders} in a process of its own, within 20 s and 1 GiB. Throws what the decoder throws,
 * INVALID_ARGUMENT naming the field, its first argument, when the file takes more or crashes the decoder, UNAVAILABLE when the
 * process can't be started or is killed, and the signal's reason.
 */
export async function decodeApart<Name extends keyof Decoders>(
  name: Name,
  args: Parameters<Decoders[Name]>,
  signal?: AbortSignal,
): Promise<Awaited<ReturnType<Decoders[Name]>>> {
  signal?.throwIfAborted();
  const child = takeProcess();
  const limit = timeLimit(maxSeconds * 1000, signal);
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
    throw limit.isOver ? unusable(args[0], 'it took longer') : error;
  } finally {
    limit.end();
    if (!idleProcesses.has(child)) {
      child.kill('SIGKILL');
    }
  }
}

/** The process's answer. Rejects if it cannot be started or ends, and with the signal's reason. */
async function ask(child: ChildProcess, task: DecodingTask, signal: AbortSignal): Promise<DecodingAnswer> {
  const { promise, resolve, reject } = deferred<DecodingAnswer>();
  const onMessage = (answer: unknown) => resolve(answer as DecodingAnswer);
  const onExit = (_: number | null, killer: NodeJS.Signals | null) => reject(ended(task.args[0] as string, killer));
  const onError = (error: Error) => reject(unavailable(`could not be started: ${reasonOf(error)}`, error));
  const onAbort = () => reject(signal.reason);
  child.on('message', onMessage).on('exit', onExit).on('error', onError);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    // A process that could not be started has no channel: its error follows.
    if (child.connected) {
      child.send(task, (error) => error && onError(error));
    }
    return await promise;
  } finally {
    child.off('message', onMessage).off('exit', onExit).off('error', onError);
    signal.removeEventListener('abort', onAbort);
  }
}

/** How the process ended: by itself, by the decoder's fault, or killed, such as by a system without memory. */
function ended(field: string, killer: NodeJS.Signals | null): FusionError {
  switch (killer) {
    case tooMuchMemory:
      return unusable(field, 'it took more memory');
    case null:
    case 'SIGKILL':
      return unavailable(killer === null ? 'ended' : 'was killed');
    default:
      return unusable(field, 'it crashed the decoder');
  }
}

function unusable(field: string, what: string): FusionError {
  const bounds = `${maxSeconds} seconds and ${maxMemoryBytes / 2 ** 20} MiB of memory`;
  const message = `\`${field}\` could not be decoded within ${bounds}: ${what}`;
  return new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field });
}

function unavailable(what: string, cause?: Error): FusionError {
  const message = `The process that decodes pictures and clips ${what}; try again`;
  return new FusionError(Status.UNAVAILABLE, message, { retryAfterSeconds: 5, cause });
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
    env: libraryVariables(),
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
