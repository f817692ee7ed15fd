import type { Preset } from '../../services/pipeline/preset.ts';
import { referenceInputs } from '../references/reference-inputs.ts';
import { engineProfiles, itemsOfRequest } from '../tensorrt/engine-profiles.ts';
import type { RecordedCall } from './record-references.ts';
import type { ServedModel } from './served-models.ts';

/** A call of one item for each profile that an engine of the model has. */
export function callsToRecord(preset: Preset, { name, interface: { inputs } }: ServedModel): RecordedCall[] {
  const endpoints = Object.entries(inputs).map(([input, spec]) => ({ name: input, ...spec }));
  return engineProfiles(preset, name, endpoints, itemsOfRequest(preset, name)).map((profile) => {
    const shapes = Object.fromEntries(Object.entries(profile.shapes).map(([input, { opt }]) => [input, opt]));
    return { name: profile.name, inputs: referenceInputs(preset, endpoints, shapes) };
  });
}
