import { integer, type Setting, text } from '../kit/settings.ts';

/** Settings of the text encoder, besides those of every stage. */
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
