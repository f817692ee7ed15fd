import { z } from 'zod';
import { packageVersion } from '../../services/kit/package-root.ts';
import { jsonValues } from '../../services/pipeline/options.ts';
import { type JobSettings, videoOptions } from '../../services/pipeline/video-options.ts';

/** How a video was made, as its manifest states it. */
export const generationSchema = z.object({
  /** Of this statement. */
  version: z.literal(1),
  /** Id of the job. */
  video: z.string(),
  /** Name of the preset, with the model's version if it has one. */
  model: z.string(),
  /** SHA-256 over the preset's weights, see `weightsHash()`; absent where the gateway does not know them. */
  weights: z.string().optional(),
  /** SHA-256 of the watermark's file; absent without one. */
  watermark: z.string().optional(),
  /** SHA-256 of the picture that the video begins with, or of its given keyframes, as they were scaled; absent without. */
  picture: z.string().optional(),
  /** As `JobSettings`; without the prompts unless the operator publishes them. The video's options are checked when used. */
  settings: z.looseObject({
    prompt: z.string().optional(),
    negativePrompt: z.string().optional(),
    givenKeyframes: z.int().optional(),
    loras: z
      .array(z.object({ name: z.string(), scale: z.number() }))
      .readonly()
      .optional(),
  }),
});

export type Generation = z.infer<typeof generationSchema>;

/** Label of {@link generationSchema} in a manifest. */
export const generationLabel = 'org.fusionframes.generation';

export const generatorName = 'FusionFrames';

/** IPTC's term for pictures made by a model. */
const madeByModel = 'http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia';

export interface GenerationFacts extends Omit<Generation, 'version' | 'settings'> {
  settings: JobSettings;
  publishesPrompt: boolean;
}

/** A C2PA manifest definition: created by a model, at this time, in this way. */
export function manifestOf(title: string, facts: GenerationFacts): object {
  const software = { name: generatorName, version: packageVersion() };
  return {
    claim_generator_info: [software],
    title,
    assertions: [
      {
        label: 'c2pa.actions.v2',
        data: {
          actions: [
            {
              action: 'c2pa.created',
              when: new Date().toISOString(),
              softwareAgent: software,
              digitalSourceType: madeByModel,
            },
          ],
        },
      },
      { label: generationLabel, kind: 'Json', data: generationOf(facts) },
    ],
  };
}

function generationOf({ publishesPrompt, settings, ...facts }: GenerationFacts): Generation {
  const { prompt, negativePrompt, ...rest } = jsonValues(videoOptions, settings) as Generation['settings'];
  const { givenKeyframes, loras } = settings;
  const given = { ...rest, ...(givenKeyframes !== undefined && { givenKeyframes }), ...(loras && { loras }) };
  return { version: 1, ...facts, settings: { ...(publishesPrompt && { prompt, negativePrompt }), ...given } };
}
