import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
import type { TensorSelection } from './select-tensors.ts';

/** How the names of a fine-tuned copy map to the published ones. */
export interface Unwrapping {
  /** The published name of a tensor; undefined if it belongs to a copy that is left out. */
  rename(name: string): string | undefined;
  /** A sentence about what was recognised; absent if the names are as published. */
  note?: string;
}

/** Words in the names of the running averages that trainers save next to the weights. */
const averageWords = new Set(['ema', 'swa', 'avg', 'average', 'averaged', 'polyak', 'shadow']);

/** Names of optimizer state, which is stored per parameter under the parameter's name. */
const stateOfOptimizer = /(^|[._])optim(izers?)?([._]|$)/i;

/** How many parts of a name are searched for an average: a name may be as long as its file. */
const maxWrappers = 8;

/**
 * Recognises the prefixes that trainers add to names: `module.` (DistributedDataParallel), `_orig_mod.`
 * (torch.compile), `model.` or `state_dict.` (Lightning and others), in any combination, outside or inside the published prefixes. Also
 * recognises a network saved together with its running average, which is left out. Published and unknown names stay as
 * they are. Throws FAILED_PRECONDITION if several copies of the network fit equally well.
 *
 * @param stored all names in the checkpoint
 * @param parameters the network's names, as far as this checkpoint contains them
 */
export function unwrapNames(
  stored: readonly string[],
  parameters: readonly string[],
  selection: TensorSelection,
): Unwrapping {
  const group = largestGroup(parameters, selection);
  if (group === undefined) {
    return { rename: (name) => name };
  }
  const { beginning, rests } = group;
  const names = new Set(stored);
  const isAsPublished = [...rests].some((rest) => names.has(beginning + rest));
  const copies = isAsPublished ? [] : findCopies(stored, rests);
  const taken = isAsPublished ? beginning : (chooseCopy(copies) ?? beginning);
  const outer = outerPart(taken, beginning);
  const published = (name: string) => {
    const rest = name.slice(taken.length);
    if (name.startsWith(taken) && (outer !== undefined || rests.has(rest))) {
      return beginning + rest;
    }
    return outer !== undefined && name.startsWith(outer) ? name.slice(outer.length) : name;
  };
  const isTaken = (renamed: string) => renamed.startsWith(beginning) && rests.has(renamed.slice(beginning.length));
  const averages = averagedParts(stored, rests);
  /** The part with an average that a name belongs to and that is left out. */
  const leftOutWith = (name: string) => {
    const part = averagePart(name);
    if (part === undefined || isTaken(published(name))) {
      return undefined;
    }
    const isFirst = !part.slice(outer && name.startsWith(outer) ? outer.length : 0).includes('.');
    return isFirst || averages.has(part) ? part : undefined;
  };
  const rename = (name: string) => (leftOutWith(name) === undefined ? published(name) : undefined);
  const leftOut = stored.flatMap((name) => leftOutWith(name) ?? []);
  const note = describe(stored, { taken, beginning, outer }, leftOut);
  return { rename, ...(note !== undefined && { note }) };
}

/** What precedes the published prefix, where the names have one. */
function outerPart(taken: string, beginning: string): string | undefined {
  const at = beginning === '' ? taken.length : taken.lastIndexOf(beginning);
  return at === 0 || taken[at - 1] === '.' ? taken.slice(0, at) : undefined;
}

interface Group {
  /** Of the published names. */
  beginning: string;
  /** What follows the prefix in each name. */
  rests: ReadonlySet<string>;
}

/** The published prefix of most of the network's parameters. */
function largestGroup(parameters: readonly string[], { names }: TensorSelection): Group | undefined {
  const rests = new Map(Object.keys(names).map((beginning) => [beginning, new Set<string>()]));
  for (const parameter of parameters) {
    const fitting = Object.entries(names).filter(([, stands]) => parameter.startsWith(stands));
    const longest = Math.max(0, ...fitting.map(([, stands]) => stands.length));
    for (const [beginning, stands] of fitting.filter(([, each]) => each.length === longest)) {
      rests.get(beginning)!.add(parameter.slice(stands.length));
    }
  }
  const [largest] = [...rests].sort(([, a], [, b]) => b.size - a.size);
  return largest && largest[1].size > 0 ? { beginning: largest[0], rests: largest[1] } : undefined;
}

/** The beginning of a name up to its first part that says average; undefined if none does. */
function averagePart(name: string): string | undefined {
  let end = -1;
  for (let part = 0; part < maxWrappers; part++) {
    const start = end + 1;
    end = name.indexOf('.', start);
    if (isAverage(name.slice(start, Math.min(end < 0 ? name.length : end, start + 100)))) {
      return end < 0 ? name : name.slice(0, end);
    }
    if (end < 0) {
      break;
    }
  }
  return undefined;
}

/** Whether a part of a name, such as `emaModel` or `model_EMA`, says average; `exp_avg` is an optimizer's. */
function isAverage(part: string): boolean {
  const words = part
    .split(/[._\-\s]+|(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
    .map((word) => word.toLowerCase().replace(/\d+$/, ''));
  return words.some((word, index) => averageWords.has(word) && words[index - 1] !== 'exp');
}

/** The parts with an average that hold tensors named like the network's. */
function averagedParts(stored: readonly string[], rests: ReadonlySet<string>): Set<string> {
  const parts = new Set<string>();
  const longest = longestOf(rests);
  for (const name of stored) {
    const part = averagePart(name);
    if (part !== undefined && !parts.has(part)) {
      for (const at of restsWithin(name, rests, longest)) {
        if (at > part.length) {
          parts.add(part);
        }
      }
    }
  }
  return parts;
}

/** Where in a name one of the network's begins. */
function* restsWithin(name: string, rests: ReadonlySet<string>, longest: number): Generator<number> {
  // A name may be as long as its file.
  const from = name.length - longest;
  for (let at = from <= 0 ? 0 : name.indexOf('.', from - 1) + 1 || -1; at >= 0 && at < name.length; ) {
    if (rests.has(name.slice(at))) {
      yield at;
    }
    at = name.indexOf('.', at) + 1 || -1;
  }
}

function longestOf(rests: ReadonlySet<string>): number {
  return Math.max(...[...rests].map((rest) => rest.length));
}

/** The prefix of each copy of the network that has more than half of its names. */
function findCopies(stored: readonly string[], rests: ReadonlySet<string>): string[] {
  const counts = new Map<string, number>();
  const longest = longestOf(rests);
  for (const name of stored) {
    for (const at of restsWithin(name, rests, longest)) {
      counts.set(name.slice(0, at), (counts.get(name.slice(0, at)) ?? 0) + 1);
    }
  }
  return [...counts]
    .filter(([before, count]) => 2 * count > rests.size && !stateOfOptimizer.test(before))
    .map(([before]) => before);
}

function chooseCopy(copies: readonly string[]): string | undefined {
  const weights = copies.filter((copy) => averagePart(copy) === undefined);
  const candidates = weights.length > 0 ? weights : copies;
  if (candidates.length > 1) {
    const list = candidates.map((copy) => `\`${copy}\``).join(' and ');
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `checkpoint: it holds the network ${candidates.length} times, under ${list}: save one of them alone`,
      { reason: 'CHECKPOINT_MISMATCH', field: 'checkpoint' },
    );
  }
  return candidates[0];
}

/** @param leftOut for each tensor that is left out, the part it belongs to */
function describe(
  stored: readonly string[],
  { taken, beginning, outer }: { taken: string; beginning: string; outer: string | undefined },
  leftOut: readonly string[],
): string | undefined {
  const sentences: string[] = [];
  const instead = beginning === '' ? 'without it' : `as \`${beginning}\``;
  if (taken !== beginning) {
    const isAroundAll = taken === `${outer}${beginning}` && stored.every((name) => name.startsWith(outer!));
    sentences.push(
      isAroundAll
        ? `all names begin with \`${outer}\`: taken without it`
        : taken === ''
          ? `names lack their beginning: taken ${instead}`
          : `names that begin with \`${taken}\` are taken ${instead}`,
    );
  }
  if (leftOut.length > 0) {
    const parts = [...new Set(leftOut)].map((part) => `\`${part}\``);
    sentences.push(`left out: ${parts.join(', ')} (${leftOut.length} ${leftOut.length === 1 ? 'tensor' : 'tensors'})`);
  }
  return sentences.length === 0 ? undefined : sentences.join('; ');
}
