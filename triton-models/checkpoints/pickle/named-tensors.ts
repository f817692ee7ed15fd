import { ForeignObject, TorchTensor } from './torch-types.ts';
import { PickleObject, PickleTuple } from './unpickle.ts';

/** How many names a part of a checkpoint may have, on average. */
const maxNames = 16;
const deepestNesting = 100;
/** Far longer than any network's names; building and comparing names takes time proportional to their length. */
const maxNameLength = 1000;

/**
 * Every tensor in a checkpoint's unpickled value, under the keys that lead to it, joined by dots. Follows dictionaries
 * and lists and ignores everything else. Throws an Error naming a class that no checkpoint needs, a name that is
 * duplicate or too long, or values nested without end.
 */
export function namedTensors(root: unknown): Map<string, TorchTensor> {
  const { partsOf, links } = findParts(root);
  const found = new Map<string, TorchTensor>();
  const names: string[] = [];
  let keyLength = 0;
  const above = new Set<unknown>();
  let visits = 0;
  const visit = (value: unknown): void => {
    visits++;
    if (names.length > deepestNesting || visits > maxNames * (links + 1)) {
      throw new Error(`${startOf(names)}…: nested without end`);
    }
    if (value instanceof TorchTensor) {
      const nameLength = keyLength + Math.max(0, names.length - 1);
      if (nameLength > maxNameLength) {
        throw new Error(`${startOf(names)}…: a name must have at most ${maxNameLength} characters (got ${nameLength})`);
      }
      const name = names.join('.');
      if (name === '' || found.has(name)) {
        throw new Error(name === '' ? 'it holds a tensor without a name' : `${name}: given twice`);
      }
      found.set(name, value);
      return;
    }
    // A value that contains itself is named once; a value with several parents has a name under each.
    if (above.has(value)) {
      return;
    }
    above.add(value);
    for (const [key, inner] of partsOf(value)) {
      names.push(key);
      keyLength += key.length;
      visit(inner);
      keyLength -= key.length;
      names.pop();
    }
    above.delete(value);
  };
  visit(root);
  return found;
}

function startOf(names: readonly string[]): string {
  return names
    .slice(0, 3)
    .map((name) => name.slice(0, 30))
    .join('.');
}

interface Parts {
  /** The parts of a dictionary or list that are tensors or lead to one. */
  partsOf(holder: unknown): readonly [string, unknown][];
  /** How many such parts there are in all. */
  links: number;
}

/**
 * Finds the values that lead to a tensor. Each value is visited once, however many parents it has: forty lists that
 * each contain the next one four times are a kilobyte, but 4⁴⁰ paths.
 */
function findParts(root: unknown): Parts {
  const parents = new Map<unknown, unknown[]>([[root, []]]);
  const tensors: unknown[] = [];
  const foreign: ForeignObject[] = [];
  const pending = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (value instanceof TorchTensor) {
      tensors.push(value);
    } else if (value instanceof ForeignObject) {
      foreign.push(value);
    }
    for (const [, inner] of entriesOf(value)) {
      const known = parents.get(inner);
      known?.push(value);
      if (known === undefined && isObject(inner)) {
        parents.set(inner, [value]);
        pending.push(inner);
      }
    }
  }
  refuseHiddenTensors(foreign);
  const relevant = new Set<unknown>(tensors);
  const upward = [...tensors];
  let links = 0;
  for (let value = upward.pop(); value !== undefined; value = upward.pop()) {
    for (const parent of parents.get(value)!) {
      links++;
      if (!relevant.has(parent)) {
        relevant.add(parent);
        upward.push(parent);
      }
    }
  }
  const known = new Map<unknown, [string, unknown][]>();
  const partsOf = (holder: unknown) => {
    const parts = known.get(holder) ?? [...entriesOf(holder)].filter(([, inner]) => relevant.has(inner));
    known.set(holder, parts);
    return parts;
  };
  return { partsOf, links };
}

/** A module saved whole, instead of its `state_dict()`, keeps its tensors where only its class can find them. */
function refuseHiddenTensors(objects: readonly ForeignObject[]): void {
  const seen = new Set<unknown>();
  for (const object of objects) {
    const pending: unknown[] = [...object.inside];
    while (pending.length > 0) {
      const value = pending.pop();
      if (value instanceof TorchTensor) {
        object.name.refuse();
      }
      if (isObject(value) && !seen.has(value)) {
        seen.add(value);
        for (const inner of value instanceof PickleObject ? value.inside : []) {
          pending.push(inner);
        }
        for (const [, inner] of entriesOf(value)) {
          pending.push(inner);
        }
      }
    }
  }
}

/** A value's children and their names. Keys that are not plain values are ignored. */
function* entriesOf(value: unknown): Generator<[string, unknown]> {
  if (value instanceof PickleObject) {
    yield* entriesOf(value.entries);
    yield* entriesOf(value.items);
  } else if (value instanceof Map) {
    for (const [key, inner] of value) {
      if (!isObject(key)) {
        yield [String(key), inner];
      }
    }
  } else {
    const items: unknown = value instanceof PickleTuple ? value.items : value;
    if (Array.isArray(items)) {
      for (const [index, inner] of items.entries()) {
        yield [String(index), inner];
      }
    }
  }
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
