import { invalidField } from '../../services/kit/errors.ts';
import { fitLora } from '../lora/fit-lora.ts';
import type { LoraChange } from '../lora/merge-loras.ts';
import { readLora } from '../lora/read-lora.ts';
import { parametersOf } from '../networks/preset-networks.ts';
import type { ServedModel } from './served-models.ts';

/** A LoRA to merge into weights. */
export interface LoraRequest {
  /** A safetensors file, or the folder in which peft saved it. */
  path: string;
  /** What it is multiplied by: 1 is what it was trained as. */
  scale: number;
  /** A model of the network that it is for. Default: found by its layers. */
  model?: string | undefined;
}

/** A LoRA in the manifest of a model that it changed. */
export interface LoraRecord {
  /** Name of the file. */
  file: string;
  sha256: string;
  scale: number;
  /** Number of weights that it changed. */
  weights: number;
}

/** What is merged into a model's weights. */
export interface PlannedLoras {
  changes: readonly LoraChange[];
  records: readonly LoraRecord[];
  /** Sentences for the user. */
  notes: readonly string[];
}

/** Names listed of those that match nothing. */
const maxListed = 200;

/**
 * Opens LoRA files and finds the weights that they change, by model; models that none of them changes are left out. Throws
 * like `readLora` and `fitLora`.
 */
export async function planLoras(
  models: readonly ServedModel[],
  requests: readonly LoraRequest[],
  signal?: AbortSignal,
): Promise<Map<string, PlannedLoras>> {
  if (requests.length === 0) {
    return new Map();
  }
  const targets = models.map((model) => ({
    model: model.name,
    weights: JSON.stringify(model.sources.map(({ path }) => path)),
    shapes: parametersOf(model).shapes,
  }));
  const planned = new Map<string, PlannedLoras>();
  for (const { path, scale, model: only } of requests) {
    if (only !== undefined && targets.every(({ model }) => model !== only)) {
      throw invalidField('lora', only, `for one of ${targets.map(({ model }) => model).join(', ')}`);
    }
    const file = await readLora(path, signal);
    const { fitted, unmatched } = fitLora(file, targets, only);
    const notes = [...file.notes, ...listUnmatched([...unmatched, ...file.others])];
    for (const [index, [model, layers]] of [...fitted].entries()) {
      const { changes = [], records = [], notes: earlier = [] } = planned.get(model) ?? {};
      const changed = `${file.name} changed ${layers.length} of its weights, at scale ${scale}`;
      planned.set(model, {
        changes: [...changes, ...layers.map((layer) => ({ ...layer, scale }))],
        records: [...records, { file: file.name, sha256: file.sha256, scale, weights: layers.length }],
        notes: [...earlier, changed, ...(index === 0 ? notes.map((note) => `${file.name}: ${note}`) : [])],
      });
    }
  }
  return planned;
}

function listUnmatched(names: readonly string[]): string[] {
  const shown = names.slice(0, maxListed).join(', ');
  const more = names.length > maxListed ? ` and ${names.length - maxListed} more` : '';
  return names.length === 0 ? [] : [`left out, since no network has them: ${shown}${more}`];
}
