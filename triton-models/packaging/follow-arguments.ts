import { isDeepStrictEqual } from 'node:util';
import { readArguments } from './checkpoint-source.ts';
import type { ServedModel } from './served-models.ts';

/**
 * The model with the constructor arguments that were published with its checkpoint, where they differ from its own, and a note
 * that says so. A model whose inputs or outputs would be others stays as it is, because the stages could not call it; so does one
 * whose published arguments are invalid. `checkCheckpoints` reports both.
 */
export async function followArguments(model: ServedModel): Promise<ServedModel> {
  const published = model.sources.find((source) => source.arguments)?.arguments;
  const { place, given } = published ? await readArguments(published) : {};
  if (given === undefined) {
    return model;
  }
  try {
    const { maxBatchSize: _, ...network } = model.withArguments(argumentsIn(model.parsePublished('', given), model));
    const changes = changesOf(model.config as object, network.config as Record<string, unknown>);
    const isCallable = isDeepStrictEqual(network.interface, model.interface);
    return changes === '' || !isCallable ? model : { ...model, ...network, notes: [`${place}: built with ${changes}`] };
  } catch {
    return model;
  }
}

function argumentsIn(parsed: unknown, { stated = {} }: ServedModel): object {
  return Object.fromEntries(Object.entries(parsed as object).filter(([name]) => !(name in stated)));
}

function changesOf(own: object, published: Record<string, unknown>): string {
  return Object.entries(own)
    .filter(([name, value]) => !isDeepStrictEqual(published[name], value))
    .map(([name, value]) => `\`${name}\` ${JSON.stringify(published[name])} instead of ${JSON.stringify(value)}`)
    .join(', ');
}
