import type { Checkpoint, StoredTensor } from './checkpoint.ts';

/** Which tensors of a checkpoint a network uses, and under which names. */
export interface TensorSelection {
  /** Prefixes of stored names and their replacements; if several tensors end up with one name, the first prefix wins. */
  names: Readonly<Record<string, string>>;
  /** Prefixes of stored names that belong to other networks. Of all matching prefixes, the longest counts. */
  others: readonly string[];
}

/** Whether the network uses the tensor with this stored name. */
export function isSelected(name: string, { names, others }: TensorSelection): boolean {
  const beginning = longestBeginning(name, Object.keys(names));
  return beginning !== undefined && beginning.length > (longestBeginning(name, others)?.length ?? -1);
}

/**
 * The tensors of a checkpoint under the network's names, without those of other networks. Unrecognised tensors keep
 * their stored names.
 */
export function selectTensors(checkpoint: Checkpoint, selection: TensorSelection): Checkpoint {
  const beginnings = Object.keys(selection.names);
  const taken: { name: string; order: number; stored: StoredTensor }[] = [];
  for (const [name, stored] of checkpoint.tensors) {
    const beginning = longestBeginning(name, beginnings);
    if (isSelected(name, selection)) {
      const renamed = selection.names[beginning!] + name.slice(beginning!.length);
      taken.push({ name: renamed, order: beginnings.indexOf(beginning!), stored });
    } else if (longestBeginning(name, selection.others) === undefined) {
      taken.push({ name, order: beginnings.length, stored });
    }
  }
  // In a Map, a later entry replaces an earlier one.
  taken.sort((a, b) => b.order - a.order);
  return { path: checkpoint.path, tensors: new Map(taken.map(({ name, stored }) => [name, stored])) };
}

function longestBeginning(name: string, beginnings: readonly string[]): string | undefined {
  return beginnings
    .filter((beginning) => name.startsWith(beginning))
    .reduce<string | undefined>((longest, each) => (each.length > (longest?.length ?? -1) ? each : longest), undefined);
}
