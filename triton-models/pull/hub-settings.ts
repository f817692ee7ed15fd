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
    description: 'Access token for the hub; empty: only what is public',
    schema: text(''),
    isSecret: true,
  },
} satisfies Record<string, Setting<unknown>>;
