import { z } from 'zod';
import { type AskedLora, maxLoras, parseLoraText } from '../../../services/pipeline/loras.ts';

/** In responses. */
export const mergedLoras = z.array(z.strictObject({ name: z.string(), scale: z.number() }));

const lorasMustBe = `a list of at most ${maxLoras} objects of name and scale, or text such as ink:0.8,sharper`;

/** In requests; forms have a text. */
export const askedLoras = z
  .union(
    [
      z
        .array(z.strictObject({ name: z.string(), scale: z.number().nullish() }), lorasMustBe)
        .max(maxLoras, lorasMustBe),
      z
        .string()
        .refine((text) => parseLoraText(text) !== undefined, lorasMustBe)
        .transform((text) => parseLoraText(text)!),
    ],
    lorasMustBe,
  )
  .nullish()
  .describe(
    'LoRAs of a version in /v1/models, which then makes the video; without a scale, at the one with which each was merged. Default: none.',
  );

/** The contract's LoRAs. */
export function toLoras(given: z.infer<typeof askedLoras>): AskedLora[] {
  return (given ?? []).map(({ name, scale }) => ({ name, ...(scale != null && { scale }) }));
}
