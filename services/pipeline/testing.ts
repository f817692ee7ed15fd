import { type Preset, parsePreset } from './preset.ts';

/** A preset with another decoder: `changes` are put over the preset's own, those of `network` one by one. */
export function withDecoder(
  preset: Preset,
  { network, ...changes }: { network?: object; [key: string]: unknown },
): Preset {
  const { folder, ...given } = preset;
  const decoder = { ...given.decoder, ...changes, network: { ...given.decoder.network, ...network } };
  return parsePreset({ ...given, decoder }, folder);
}
