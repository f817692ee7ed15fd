import { FusionError, invalidField, renameField } from '../services/kit/errors.ts';
import { isOfRandomWeights } from '../triton-models/packaging/weights-warnings.ts';
import { generatePrompts } from './generate-prompts.ts';
import { type GivenOptions, givenSampling } from './video-options.ts';

/** Options of commands that can make the videos that they look at. */
export interface MakingOptions extends GivenOptions {
  preset?: string;
  address?: string;
}

/** What is known of videos that a command looks at. */
export interface Making {
  /** Some were made with random weights. */
  isRandom: boolean;
}

/**
 * Makes a video of each line of a file in a folder, as `generate --prompts` does; finished ones are kept. Returns nothing after
 * Ctrl-C, which it has reported. Throws INVALID_ARGUMENT naming the flag, the line, or the argument for the folder.
 *
 * @param argument the command's argument that names the folder
 */
export async function makeVideos(
  prompts: string,
  argument: string,
  folder: string,
  options: MakingOptions,
): Promise<Making | undefined> {
  const { preset = 'nano', address } = options;
  const sampling = Object.fromEntries(givenSampling(options).map(({ name, value }) => [name, value]));
  const making = { ...sampling, prompts, output: folder, preset, ...(address !== undefined && { address }) };
  const done = await generatePrompts(making).catch((error: unknown) => {
    throw error instanceof FusionError && error.field === '--output' ? renameField(error, argument) : error;
  });
  if (done === undefined) {
    return undefined;
  }
  process.stderr.write(`${done.summary}\n`);
  return { isRandom: isOfRandomWeights(done.warnings) };
}

/**
 * Makes the videos of `--prompts` where it is given. Returns nothing after Ctrl-C. Throws INVALID_ARGUMENT for a flag that has no
 * effect without it.
 */
export async function madeIfAsked(
  argument: string,
  folder: string,
  options: MakingOptions & { prompts?: string },
): Promise<Making | undefined> {
  const { prompts } = options;
  if (prompts !== undefined) {
    return makeVideos(prompts, argument, folder, options);
  }
  requireNoMaking(options, '--prompts');
  return { isRandom: false };
}

/** Throws INVALID_ARGUMENT for a flag that has no effect because no videos are made. */
export function requireNoMaking(options: MakingOptions, without: string): void {
  const { preset, address } = options;
  const others = [
    { flag: '--preset', value: preset },
    { flag: '--address', value: address },
  ].filter(({ value }) => value !== undefined);
  for (const { flag, value } of [...others, ...givenSampling(options)]) {
    throw invalidField(flag, value, `absent without ${without}, which makes videos`);
  }
}
