import { Status } from 'nice-grpc-common';
import { toFusionError } from '../services/kit/errors.ts';

/** What the program ends with. */
export const exitCode = {
  ok: 0,
  failure: 1,
  /** The command line or a value on it is wrong. */
  usage: 2,
  /** Stopped by Ctrl-C (128 + SIGINT). */
  interrupted: 130,
} as const;

/** The exit code: 2 for a caller's mistake, 1 for a failure of ours. */
export function exitCodeOf(thrown: unknown): number {
  return toFusionError(thrown).code === Status.INVALID_ARGUMENT ? exitCode.usage : exitCode.failure;
}

/** Writes what went wrong, a line for each fault of a list, never a stack trace. */
export function reportError(thrown: unknown): void {
  const error = toFusionError(thrown);
  process.stderr.write(`fusionframes: ${error.message.trim()} (${error.codeName})\n`);
}
