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
} satisfies Record<string, Setting<unknown>>;

/**
 * The token that `hf auth login` keeps: in the file of HF_TOKEN_PATH, else in HF_HOME, else in the user's cache. Empty
 * when there is none, or HF_HUB_DISABLE_IMPLICIT_TOKEN forbids to send it.
 */
export function keptToken(environment: Record<string, string | undefined> = process.env): string {
  const { HF_HUB_DISABLE_IMPLICIT_TOKEN: isForbidden, HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = environment;
  if (/^(1|on|yes|true)$/i.test(isForbidden ?? '')) {
    return '';
  }
  const cache = XDG_CACHE_HOME || join(environment.HOME || homedir(), '.cache');
  const file = HF_TOKEN_PATH || join(HF_HOME || join(cache, 'huggingface'), 'token');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
