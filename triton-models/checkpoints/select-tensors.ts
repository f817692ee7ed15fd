import type { Checkpoint, StoredTensor } from './checkpoint.ts';

/** Which tensors of a checkpoint a network takes, and by which names it knows them. */
export interface TensorSelection {
  /** Beginnings of stored names and what stands for them; where several tensors get one name, the first one's is taken. */
  names: Readonly<Record<string, string>>;
  /** Beginnings of stored names that belong to other networks. The longest beginning of either kind counts. */
  others: readonly string[];
}

/** Whether a network takes the tensor of this stored name. */
export function isSelected(name: string, { names, others }: TensorSelection): boolean {
  const beginning = longestBeginning(name, Object.keys(names));
  return beginning !== undefined && beginning.length > (longestBeginning(name, others)?.length ?? -1);
}

/**
 * The tensors of a checkpoint that a network takes, by the network's names; those that no network takes keep their
 * stored names.
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
  // A later entry of a Map replaces an earlier one.
  taken.sort((a, b) => b.order - a.order);
  return { path: checkpoint.path, tensors: new Map(taken.map(({ name, stored }) => [name, stored])) };
}

function longestBeginning(name: string, beginnings: readonly string[]): string | undefined {
  return beginnings
    .filter((beginning) => name.startsWith(beginning))
    .reduce<string | undefined>((longest, each) => (each.length > (longest?.length ?? -1) ? each : longest), undefined);
}
