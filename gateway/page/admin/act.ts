import { inPlainWords } from '../api/api-error.ts';
import { forgetWhenReachable } from '../api/connection.ts';
import { confirmed } from '../confirm.ts';
import { byId, setText } from '../dom.ts';

/** Runs an operator's action; announces its end to screen readers and shows a failure in the section's error line. */
export async function act(section: string, done: string, work: () => Promise<unknown>): Promise<void> {
  const line = byId(`${section}-error`);
  setText(line, '');
  try {
    await work();
    setText(byId('announcer'), done);
  } catch (error) {
    setText(line, inPlainWords(error));
    forgetWhenReachable(line, error);
  }
}

/** Asks for confirmation. Resolves with whether the option was chosen, or `undefined` to leave everything as it is. */
export async function confirmedWith(question: string, yes: string, option?: string): Promise<boolean | undefined> {
  const check = byId<HTMLInputElement>('confirm-check');
  check.checked = false;
  byId('confirm-option').hidden = option === undefined;
  setText(byId('confirm-label'), option ?? '');
  return (await confirmed(question, yes)) ? check.checked : undefined;
}
