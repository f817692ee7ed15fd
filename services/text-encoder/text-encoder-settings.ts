import { integer, type Setting } from '../kit/settings.ts';

/** What the text encoder's process takes from its environment, besides what every stage does. */
export const textEncoderSettings = {
  cacheBytes: {
    name: 'FUSIONFRAMES_TEXT_CACHE_BYTES',
    description: 'Bytes of text encodings kept for the next request with the same text',
    schema: integer(256 << 20, 1, 2 ** 40),
  },
} satisfies Record<string, Setting<unknown>>;
