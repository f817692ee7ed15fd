import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { type Setting, text } from '../../services/kit/settings.ts';

/** What fetching from the Hugging Face Hub takes from the environment. */
export const hubSettings = {
  endpoint: {
    name: 'HF_ENDPOINT',
    description: 'Address of the Hugging Face Hub, or of a mirror of it',
    schema: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .transform((url) => url.replace(/\/+$/, ''))
      .default('https://huggingface.co'),
  },
  token: {
    name: 'HF_TOKEN',
    description:
      "Access token for the hub; empty: the one that the hub's own program keeps (HF_HOME), else only what is public",
    schema: text(''),
    isSecret: true,
  },
  tokenPath: {
    name: 'HF_TOKEN_PATH',
    description: "File with the token that the hub's own program keeps; empty: `token` in the folder of HF_HOME",
    schema: text(''),
  },
  home: {
    name: 'HF_HOME',
    description: "Folder of the hub's own program; empty: `huggingface` in the user's cache",
    schema: text(''),
  },
  disableKeptToken: {
    name: 'HF_HUB_DISABLE_IMPLICIT_TOKEN',
    description: "1: the token that the hub's own program keeps is not sent",
    schema: text(''),
  },
} satisfies Record<string, Setting<unknown>>;

/**
 * The token that `hf auth login` keeps; empty when there is none, or it is not to be sent.
 *
 * @param cache where programs of this user keep what they can do without
 */
export function keptToken(
  { tokenPath, home, disableKeptToken }: Record<'tokenPath' | 'home' | 'disableKeptToken', string>,
  cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
): string {
  if (/^(1|on|yes|true)$/i.test(disableKeptToken)) {
    return '';
  }
  try {
    return readFileSync(tokenPath || join(home || join(cache, 'huggingface'), 'token'), 'utf8').trim();
  } catch {
    return '';
  }
}
