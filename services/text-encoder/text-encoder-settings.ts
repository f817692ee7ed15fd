import { integer, type Setting, text } from '../kit/settings.ts';

/** What the text encoder's process takes from its environment, besides what every stage does. */
export const textEncoderSettings = {
  tokenizer: {
    name: 'FUSIONFRAMES_TOKENIZER',
    description: "The encoder's tokenizer.json, which `models build` writes beside its model; empty: the preset's",
    schema: text(''),
  },
  cacheBytes: {
    name: 'FUSIONFRAMES_TEXT_CACHE_BYTES',
    description: 'Bytes of text encodings kept for the next request with the same text',
    schema: integer(256 << 20, 1, 2 ** 40),
  },
} satisfies Record<string, Setting<unknown>>;
