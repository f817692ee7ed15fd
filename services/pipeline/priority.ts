import { invalidField } from '../kit/errors.ts';

/** Priorities are whole numbers from −100 to 100; 0 is usual. */
export const maxPriority = 100;

/** Throws INVALID_ARGUMENT unless the priority is a whole number from −100 to 100. */
export function checkPriority(priority: number, field = 'priority'): number {
  if (!Number.isInteger(priority) || Math.abs(priority) > maxPriority) {
    throw invalidField(field, priority, `a whole number from -${maxPriority} to ${maxPriority}`);
  }
  return priority;
}
