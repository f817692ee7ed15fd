import { z } from 'zod';
import {
  clipMediaTypes,
  maxPictureBytes,
  maxPicturePixels,
  pictureMediaTypes,
} from '../../../services/kit/pictures.ts';
import { takesPicture } from '../../../services/pipeline/first-frame.ts';
import { offeredFrameRates } from '../../../services/pipeline/frame-rates.ts';
import { sizeText } from '../../../services/pipeline/frame-sizes.ts';
import { keyframeCounts } from '../../../services/pipeline/given-keyframes.ts';
import {
  frameCount,
  frameRateNames,
  offeredQualities,
  type Preset,
  qualityNames,
  samplerNames,
  samplingAt,
} from '../../../services/pipeline/preset.ts';
import { maxPromptCharacters } from '../../../services/pipeline/prompt-length.ts';
import { samplingOptions } from '../../../services/pipeline/sampling.ts';
import { interpolationReadsPrompt, stageSequence } from '../../../services/pipeline/stage-sequence.ts';
import { stageNames } from '../../../services/pipeline/stages.ts';
import { videoFormats } from '../../../services/pipeline/video-options.ts';
import type { Models } from '../../models/models.ts';
import { mergedLoras } from './lora-fields.ts';
import { describedOption, describeOptions, responseFields, responseValues } from './option-fields.ts';
import { type Route, route } from './route.ts';
import { videoSeconds } from './video-object.ts';

const size = z.string().regex(/^\d+x\d+$/);

const presetObject = z
  .strictObject({
    id: z.string(),
    object: z.literal('preset'),
    description: z.string(),
    size: z.strictObject({
      default: size,
      minimum: size,
      maximum: size,
      multiple_of: z.int(),
      allowed: z.array(size).optional().describe('The only sizes that are served; absent: all within these limits.'),
    }),
    default_frame_rate: z.enum(frameRateNames),
    frame_rates: z.array(
      z.strictObject({
        name: z.enum(frameRateNames),
        frames: z.int(),
        frames_per_second: z.number(),
        seconds: z.string().describe('Length of the video in seconds.'),
        stages: z
          .array(z.strictObject({ stage: z.enum(stageNames), frames: z.int().describe('Number of frames after it.') }))
          .describe('The stages of a video, in order; one entry per interpolation pass.'),
      }),
    ),
    keyframes: z.strictObject({ frames: z.int(), ...responseFields(samplingOptions.keyframes) }),
    interpolation: z.strictObject(responseFields(samplingOptions.interpolation)),
    default_quality: z.enum(qualityNames),
    qualities: z
      .array(
        z.strictObject({
          name: z.enum(qualityNames),
          keyframes: z.strictObject(responseFields(samplingOptions.keyframes)),
          interpolation: z.strictObject(responseFields(samplingOptions.interpolation)),
        }),
      )
      .describe('Sets of sampling settings, best first. A request with a quality takes its defaults from there.'),
    options: z.array(describedOption).describe('Options of a request, with their defaults.'),
    input_reference: z
      .strictObject({ media_types: z.array(z.string()), max_bytes: z.int(), max_pixels: z.int() })
      .nullable()
      .describe('The pictures that a video may begin with; null: videos are made from text only.'),
    given_keyframes: z
      .strictObject({
        min: z.int(),
        max: z.int(),
        media_types: z.array(z.string()),
        max_bytes: z.int(),
        reads_prompt: z
          .boolean()
          .describe('Whether the frames between them depend on the prompt, which is otherwise a title.'),
      })
      .describe(
        'The keyframes that a request may give: their number, and the kinds and size of the files. The model must have been built with their encoder.',
      ),
    loras: z.array(mergedLoras).describe("What a request's `lora` may be, besides none."),
    samplers: z.array(z.enum(samplerNames)),
    formats: z.array(z.enum(videoFormats)),
    max_prompt_characters: z.int(),
    examples: z.array(z.string()).describe('Prompts to try.'),
  })
  .describe('Allowed values, and the defaults for a request that leaves them out.');

export type PresetObject = z.infer<typeof presetObject>;

export const presetList = z.strictObject({ object: z.literal('list'), data: z.array(presetObject) });

export function presetRoutes(models: Models): Route[] {
  const presetOf = (name: string) => {
    const versions = models.versionsOf(name);
    return (versions.find(({ isDraining }) => !isDraining) ?? versions[0]!).preset;
  };
  return [
    route(
      {
        method: 'GET',
        path: '/v1/presets',
        name: 'listPresets',
        summary: 'List the sizes, frame rates, options and defaults of each model.',
        scope: 'read',
        answers: {
          200: {
            description:
              "One preset per model, from its first version that accepts videos; the default model's comes first.",
            schema: presetList,
          },
        },
      },
      async () => ({ object: 'list', data: models.names.map((name) => toPresetObject(presetOf(name), models)) }),
    ),
  ];
}

function toPresetObject(preset: Preset, models: Models): PresetObject {
  const { frameSize } = preset;
  return {
    id: preset.name,
    object: 'preset',
    description: preset.description,
    size: {
      default: sizeText(frameSize.default),
      minimum: sizeText(frameSize.minimum),
      maximum: sizeText(frameSize.maximum),
      multiple_of: frameSize.multipleOf,
      ...(preset.sizes && { allowed: preset.sizes.map(sizeText) }),
    },
    default_frame_rate: preset.defaultFrameRate,
    frame_rates: offeredFrameRates(preset).map((name) => ({
      name,
      frames: frameCount(preset, name),
      frames_per_second: preset.playbackRate[name],
      seconds: videoSeconds(preset, { frameRate: name }),
      stages: stageSequence(preset, name),
    })),
    keyframes: {
      frames: preset.keyframes.frames,
      ...responseValues(samplingOptions.keyframes, preset.keyframes.defaults),
    },
    interpolation: responseValues(samplingOptions.interpolation, preset.interpolation.defaults),
    default_quality: preset.defaultQuality,
    qualities: offeredQualities(preset).map((name) => ({
      name,
      keyframes: responseValues(samplingOptions.keyframes, samplingAt(preset, 'keyframes', name)),
      interpolation: responseValues(samplingOptions.interpolation, samplingAt(preset, 'interpolation', name)),
    })),
    options: describeOptions(preset),
    input_reference: takesPicture(preset)
      ? { media_types: [...pictureMediaTypes], max_bytes: maxPictureBytes, max_pixels: maxPicturePixels }
      : null,
    given_keyframes: {
      ...keyframeCounts(preset),
      media_types: [...clipMediaTypes, ...pictureMediaTypes],
      max_bytes: maxPictureBytes,
      reads_prompt: interpolationReadsPrompt(preset),
    },
    loras: models.lorasOf(preset.name).map((loras) => [...loras]),
    samplers: [...samplerNames],
    formats: [...videoFormats],
    max_prompt_characters: maxPromptCharacters,
    examples: preset.examples,
  };
}
