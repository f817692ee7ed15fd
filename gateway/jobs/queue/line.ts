import { modelKey, rankInKey } from './fair-queue.ts';
import type { BudgetLeft, KeyInQueue, QueuedJob, QueueSnapshot } from './queue-snapshot.ts';

/** Queued jobs of a key and model. */
export interface LineOfModel {
  /** Of its first queued jobs, ascending. */
  ranks: number[];
  /** Of jobs that were accepted since and asked about. */
  newRanks: number[];
}

/** A key with jobs, as a forecast sees it. */
export interface Line extends Omit<KeyInQueue, 'budgets'> {
  budgets: BudgetLeft[];
  models: Map<string, LineOfModel>;
  /** Of the last of its first queued jobs, of any model. */
  lastKnownRank: number | undefined;
  /** Number of those. */
  known: number;
  running: number;
  /** Mean work of its first queued jobs. */
  work: number;
}

/** How long the key's limit on running jobs delays a job with `ahead` before it. */
export function limitSeconds({ concurrentJobs, running }: Line, ahead: number, jobSeconds: number): number {
  const surplus = concurrentJobs > 0 ? ahead + running + 1 - concurrentJobs : 0;
  return surplus > 0 ? (surplus * jobSeconds) / concurrentJobs : 0;
}

/** How long the key's budgets delay a job with `ahead` before it, most of which the simulation has not counted. */
export function budgetSeconds({ budgets, known }: Line, ahead: number, jobSeconds: number): number {
  const others = Math.max(0, ahead - known);
  const used = budgets.filter(({ unit, left }) => left <= others * (unit === 'videos' ? 1 : jobSeconds));
  return Math.max(0, ...used.map(({ resetSeconds }) => resetSeconds));
}

/** When the last of a key's used budgets is reset. */
export function resetOf({ budgets }: Line): number {
  return Math.max(0, ...budgets.filter(({ left }) => left <= 0).map(({ resetSeconds }) => resetSeconds));
}

export function newLine(id: string): Line {
  return lineOf(newKey(id));
}

export function newKey(id: string): KeyInQueue {
  return { id, share: 1, concurrentJobs: 0, virtualStarts: {}, queued: 0, lastRank: null, budgets: [] };
}

/** Stand-ins for a key's queued jobs beyond its first ones, at most so many: each like the last of those. */
export function unknownJobs({ id, queued, known }: Line, heads: readonly QueuedJob[], most: number): QueuedJob[] {
  const last = heads.findLast(({ keyId }) => keyId === id);
  const count = last ? Math.min(most, queued - known) : 0;
  return Array.from({ length: Math.max(0, count) }, (_, index) => ({ ...last!, id: `${last!.id} + ${index + 1}` }));
}

/** A key without jobs. */
export function lineOf(key: KeyInQueue): Line {
  return { ...key, budgets: [...key.budgets], ...noJobs(), work: 1 };
}

function noJobs(): Pick<Line, 'models' | 'lastKnownRank' | 'known' | 'running' | 'work'> {
  return { models: new Map(), lastKnownRank: undefined, known: 0, running: 0, work: 0 };
}

export function lineOfModel(line: Line, model: string): LineOfModel {
  const found = line.models.get(model) ?? { ranks: [], newRanks: [] };
  line.models.set(model, found);
  return found;
}

export function linesOf({ keys, heads, running }: QueueSnapshot): Map<string, Line> {
  const lines = new Map(
    keys.map((key): [string, Line] => [key.id, { ...key, budgets: [...key.budgets], ...noJobs() }]),
  );
  for (const { keyId } of running) {
    const line = lines.get(keyId);
    if (line) {
      line.running++;
    }
  }
  for (const job of heads) {
    const line = lines.get(job.keyId)!;
    const rank = rankInKey(job);
    lineOfModel(line, modelKey(job)).ranks.push(rank);
    line.lastKnownRank = Math.max(line.lastKnownRank ?? rank, rank);
    line.work += (job.work - line.work) / ++line.known;
  }
  for (const line of lines.values()) {
    line.work ||= 1;
  }
  return lines;
}

/** Queued jobs of a key and model, if the others are of the models of the known ones. */
export function queuedOf({ models, queued, known }: Line, model: string): number {
  const count = models.get(model)?.ranks.length ?? 0;
  return count === 0 ? 0 : (count * Math.max(queued, known)) / known;
}

/** Queued jobs of a key and model before a rank; beyond the known ones they are assumed to be spread evenly. */
export function jobsBefore(line: Line, model: string, rank: number): number {
  const { ranks = [], newRanks = [] } = line.models.get(model) ?? {};
  const before = (others: readonly number[]) => others.filter((other) => other < rank).length;
  const known = before(ranks) + before(newRanks);
  const { lastKnownRank: first, lastRank: last } = line;
  if (first === undefined || rank <= first || last === null || last <= first) {
    return known;
  }
  const share = Math.min(1, (rank - first) / (last - first));
  return known + Math.round(share * (queuedOf(line, model) - ranks.length));
}
