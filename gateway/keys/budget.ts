import { Status } from 'nice-grpc-common';
import { FusionError, invalidField } from '../../services/kit/errors.ts';

/** What a key may use in a day or month (UTC), written as `100-videos/day` or `3600-seconds/month`. */
export interface Budget {
  /** A whole number from 1. */
  amount: number;
  /** Finished videos, or seconds in the stages. */
  unit: 'videos' | 'seconds';
  period: 'day' | 'month';
}

/** A budget and what was used of it. */
export interface UsedBudget extends Budget {
  /** Of the amount; queued and running jobs count as videos. */
  used: number;
  resetsAt: Date;
}

const maxAmount = 1_000_000_000;
const pattern = /^([1-9]\d{0,9})-(videos|seconds)\/(day|month)$/;

/** What a list of budgets must be. */
export const budgetsMustBe = `budgets such as 100-videos/day or 3600-seconds/month, at most ${maxAmount} and one of each kind`;

/** Reads the text of a budget; `undefined` if it is none. */
export function readBudget(text: string): Budget | undefined {
  const [, amount, unit, period] = pattern.exec(text) ?? [];
  return Number(amount) <= maxAmount ? ({ amount: Number(amount), unit, period } as Budget) : undefined;
}

/** Throws INVALID_ARGUMENT. */
export function parseBudget(text: string): Budget {
  const budget = readBudget(text);
  if (!budget) {
    throw invalidField('budgets', text, budgetsMustBe);
  }
  return budget;
}

/** The text of a budget, as stored. */
export function formatBudget({ amount, unit, period }: Budget): string {
  return `${amount}-${unit}/${period}`;
}

/**
 * RESOURCE_EXHAUSTED with the time until the budget resets, unless it never allows so many videos.
 *
 * @param asked number of new videos
 * @param resetSeconds by the database's clock
 */
export function budgetUsed(
  { amount, unit, period, used, resetsAt }: UsedBudget,
  asked: number,
  resetSeconds: number,
): FusionError {
  const left = shown(Math.max(0, amount - used));
  const leaves = asked === 1 ? '' : `, which leaves ${left} (${asked} videos were asked for)`;
  const message = `This API key may use ${amount} ${unit} a ${period} and has used ${shown(used)}${leaves}`;
  if (unit === 'videos' && asked > amount) {
    return new FusionError(Status.RESOURCE_EXHAUSTED, message, { reason: 'BUDGET_USED' });
  }
  return new FusionError(Status.RESOURCE_EXHAUSTED, `${message}; the budget resets at ${resetsAt.toISOString()}`, {
    reason: 'BUDGET_USED',
    retryAfterSeconds: Math.max(1, Math.ceil(resetSeconds)),
  });
}

function shown(used: number): string {
  return String(Math.round(10 * used) / 10);
}
