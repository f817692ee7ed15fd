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

/** A budget that is used up. */
export interface UsedBudget extends Budget {
  /** Of the amount; queued and running jobs count as videos. */
  used: number;
  resetsAt: Date;
}

const maxAmount = 1_000_000_000;
const pattern = /^([1-9]\d{0,9})-(videos|seconds)\/(day|month)$/;
const mustBe = `budgets such as 100-videos/day or 3600-seconds/month, at most ${maxAmount} and one of each kind`;

/** Throws INVALID_ARGUMENT naming the field. */
export function parseBudget(field: string, text: string): Budget {
  const [, amount, unit, period] = pattern.exec(text) ?? [];
  if (Number(amount) <= maxAmount) {
    return { amount: Number(amount), unit, period } as Budget;
  }
  throw invalidField(field, text, mustBe);
}

/** The text of a budget, as stored. */
export function formatBudget({ amount, unit, period }: Budget): string {
  return `${amount}-${unit}/${period}`;
}

/** Throws INVALID_ARGUMENT for an invalid budget, or two of the same unit and period. */
export function requireValidBudgets(budgets: readonly Budget[]): void {
  const kinds = new Set(budgets.map(({ unit, period }) => `${unit}/${period}`));
  const texts = budgets.map(formatBudget);
  if (kinds.size < budgets.length || texts.some((text) => !pattern.test(text))) {
    throw invalidField('budgets', texts.join(','), mustBe);
  }
  for (const text of texts) {
    parseBudget('budgets', text);
  }
}

/** RESOURCE_EXHAUSTED with the time until the budget resets. */
export function budgetUsed({ amount, unit, period, used, resetsAt }: UsedBudget): FusionError {
  return new FusionError(
    Status.RESOURCE_EXHAUSTED,
    `This API key may use ${amount} ${unit} a ${period} and has used ${shown(used)}; the budget resets at ${resetsAt.toISOString()}`,
    { reason: 'BUDGET_USED', retryAfterSeconds: Math.max(1, Math.ceil((resetsAt.getTime() - Date.now()) / 1000)) },
  );
}

function shown(used: number): string {
  return String(Math.round(10 * used) / 10);
}
