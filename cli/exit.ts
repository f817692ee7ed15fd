import { Status } from 'nice-grpc-common';
import { toFusionError } from '../services/kit/errors.ts';
import { plainText } from '../services/kit/plain-text.ts';
import { VideoFailure } from './video-failure.ts';

/** Exit codes of the program. */
export const exitCode = {
  ok: 0,
  failure: 1,
  /** Invalid command line or setting. */
  usage: 2,
  /** What `verify` found about a video that is not valid. */
  unsigned: 3,
  foreign: 4,
  invalid: 5,
  damaged: 6,
  /** It is valid, but made again it looks different. */
  different: 7,
  /** Only a newer release can read what it states. */
  unreadable: 8,
  /** A command stopped by a signal, as shells report it: 128 plus the signal's number. A stopped server ends with `ok`. */
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

/** The exit code: 2 for a caller's mistake, 1 for a failure of ours. */
export function exitCodeOf(thrown: unknown): number {
  return toFusionError(thrown).code === Status.INVALID_ARGUMENT ? exitCode.usage : exitCode.failure;
}

/** Writes an error without its stack, one line for each fault of a list. */
export function reportError(thrown: unknown): void {
  process.stderr.write(`fusionframes: ${plainText(errorText(thrown), '\n')}\n`);
}

/** The message of an error, and the name of its status or, for a failed video, of the fault. */
export function errorText(thrown: unknown): string {
  const error = toFusionError(thrown);
  return `${error.message.trim()} (${error instanceof VideoFailure ? error.reason : error.codeName})`;
}
