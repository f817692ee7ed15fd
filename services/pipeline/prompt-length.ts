import { Status } from 'nice-grpc-common';
import { FusionError } from '../kit/errors.ts';

/** Maximum length of a prompt, in characters (Unicode code points). */
export const maxPromptCharacters = 10_000;

/** Throws INVALID_ARGUMENT naming `field` if a text is too long. */
export function checkPromptLength(field: string, text: string): void {
  const characters = [...text].length;
  if (characters > maxPromptCharacters) {
    const message = `\`${field}\` must be at most ${maxPromptCharacters} characters (got ${characters})`;
    throw new FusionError(Status.INVALID_ARGUMENT, message, { reason: 'INVALID_FIELD', field });
  }
}
