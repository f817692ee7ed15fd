import { z } from 'zod';
import { Sampler } from '../../../proto/gen/fusionframes/v1/tensor.ts';
import { CreateVideoRequest, type VideoSettings } from '../../../proto/gen/fusionframes/v1/video.ts';
import { choices, FusionError, invalidField } from '../../../services/kit/errors.ts';
import { toWireFrameRate } from '../../../services/pipeline/frame-rates.ts';
import {
  type FrameRateName,
  frameRateNames,
  interpolationPasses,
  type Preset,
  samplerNames,
} from '../../../services/pipeline/preset.ts';
import { maxPromptCharacters } from '../../../services/pipeline/prompt-length.ts';
import { toWireSampler } from '../../../services/pipeline/sampling.ts';
import { formatMessages } from '../video-message.ts';
import { anyText, choice, decimalNumber, seed, truth, wholeNumber } from './fields.ts';
import { videoFormats, videoSeconds } from './video-object.ts';

const prompt = anyText(`1 to ${maxPromptCharacters} characters`);
const size = anyText('width x height in pixels, such as 512x512').regex(
  /^\d{1,5}x\d{1,5}$/,
  'width x height in pixels, such as 512x512',
);

/** What makes a video. */
export const createFields = z
  .strictObject(
    {
      model: anyText('the name of the preset that is served').optional().describe('Name of the preset that is served.'),
      prompt: prompt.meta({ minLength: 1, maxLength: maxPromptCharacters, description: 'What the video shows.' }),
      negative_prompt: prompt
        .optional()
        .meta({ maxLength: maxPromptCharacters, description: 'What it must not show.' }),
      seconds: anyText('a number of seconds as a text')
        .optional()
        .describe('Length: picks the frame rate that gives it, see /v1/presets.'),
      frame_rate: choice(frameRateNames)
        .optional()
        .describe('low: the keyframes alone; each next one: four times as many frames.'),
      size: size.optional().describe('Width x height, pixels, within the limits of the preset.'),
      seed: seed().optional().describe('The same seed gives the same video; absent: any.'),
      steps: wholeNumber(1, 1000).optional().describe('Denoising steps of the keyframes.'),
      guidance_scale: decimalNumber(0, 50).optional().describe('How strictly the keyframes follow the prompt.'),
      sampler: choice(samplerNames).optional().describe('Solver of the keyframes.'),
      interpolation_steps: wholeNumber(1, 1000).optional().describe('Denoising steps of the frames between.'),
      interpolation_guidance_scale: decimalNumber(0, 50).optional().describe('Guidance of the frames between.'),
      interpolation_sampler: choice(samplerNames).optional().describe('Solver of the frames between.'),
      format: choice(videoFormats).optional().describe('H.264 in MP4 (the default), or animated WebP.'),
      priority: wholeNumber(-100, 100).optional().describe('Higher ones are begun first; 0 by default.'),
      previews: truth().optional().describe('Also decode a preview and the storyboard as early as they can be had.'),
      webhook: z
        .strictObject(
          { url: anyText('an http or https URL'), secret: anyText('a text') },
          'an object of url and secret',
        )
        .optional()
        .describe('Called, signed with the secret, when the video has ended.'),
    },
    'an object with at least a prompt',
  )
  .describe('A video to make. Absent fields take the defaults of the preset.');

type CreateFields = z.infer<typeof createFields>;

/** The contract's request for what HTTP's asks. Throws INVALID_ARGUMENT for a model or length that is not served. */
export function toCreateRequest(fields: CreateFields, clientId: string, preset: Preset): CreateVideoRequest {
  if (fields.model !== undefined && fields.model !== preset.name) {
    throw invalidField('model', fields.model, preset.name);
  }
  const { webhook } = fields;
  return CreateVideoRequest.fromPartial({
    clientId,
    settings: toSettings(fields, preset),
    ...(fields.priority !== undefined && { priority: fields.priority }),
    ...(fields.previews !== undefined && { previews: fields.previews }),
    ...(webhook && { webhook }),
  });
}

function toSettings(fields: CreateFields, preset: Preset): Partial<VideoSettings> {
  const frameRate = chooseFrameRate(fields, preset);
  const [width = 0, height = 0] = fields.size?.split('x').map(Number) ?? [];
  if (fields.size !== undefined && (width === 0 || height === 0)) {
    throw invalidField('size', fields.size, 'width x height in pixels, such as 512x512');
  }
  return {
    prompt: fields.prompt,
    negativePrompt: fields.negative_prompt ?? '',
    seed: fields.seed,
    ...(frameRate && { frameRate: toWireFrameRate(frameRate) }),
    width,
    height,
    keyframes: toWire(fields.steps, fields.guidance_scale, fields.sampler),
    interpolation: toWire(
      fields.interpolation_steps,
      fields.interpolation_guidance_scale,
      fields.interpolation_sampler,
    ),
    ...(fields.format && { format: formatMessages[fields.format] }),
  };
}

function toWire(steps: number | undefined, guidanceScale: number | undefined, sampler: CreateFields['sampler']) {
  return {
    steps: steps ?? 0,
    guidanceScale,
    sampler: sampler ? toWireSampler(sampler) : Sampler.SAMPLER_UNSPECIFIED,
  };
}

/** The frame rate that was asked for, by its name or by the length of its videos. */
function chooseFrameRate({ frame_rate, seconds }: CreateFields, preset: Preset): FrameRateName | undefined {
  if (seconds === undefined) {
    return frame_rate;
  }
  const lengths = frameRateNames
    .filter((name) => interpolationPasses(name) <= preset.interpolation.skips.length)
    .map((name) => ({ name, length: videoSeconds(preset, name) }));
  const fitting = lengths.filter(
    ({ name, length }) => Number(length) === Number(seconds) && (frame_rate ?? name) === name,
  );
  const chosen = fitting.find(({ name }) => name === preset.defaultFrameRate) ?? fitting.at(-1);
  if (!chosen) {
    const allowed = lengths.map(({ name, length }) => `${length} (frame rate ${name})`);
    throw invalidField('seconds', seconds, choices(allowed));
  }
  return chosen.name;
}

/** Names of the contract's fields where HTTP has others. */
const names = new Map([
  ['width', 'size'],
  ['height', 'size'],
  ['keyframes.steps', 'steps'],
  ['keyframes.guidance_scale', 'guidance_scale'],
  ['keyframes.sampler', 'sampler'],
  ['interpolation.steps', 'interpolation_steps'],
  ['interpolation.guidance_scale', 'interpolation_guidance_scale'],
  ['interpolation.sampler', 'interpolation_sampler'],
]);

/** An error about a field of the contract, told by the name that the request had for it. */
export function byRequestName(thrown: unknown): unknown {
  const name = thrown instanceof FusionError && thrown.field ? names.get(thrown.field) : undefined;
  if (name === undefined) {
    return thrown;
  }
  const { code, reason, message, field } = thrown as FusionError;
  return new FusionError(code, message.replace(`\`${field}\``, `\`${name}\``), { reason, field: name, cause: thrown });
}
