import { choices, invalidField, inWords } from '../../services/kit/errors.ts';

/** The number that stands for a name in the contract. Throws INVALID_ARGUMENT for an unknown name. */
export function wireOf<N extends string, W extends number>(field: string, name: N, numbers: Readonly<Record<N, W>>): W {
  if (!Object.hasOwn(numbers, name)) {
    throw invalidField(field, name, choices(Object.keys(numbers)));
  }
  return numbers[name];
}

/** Throws INVALID_ARGUMENT for an empty list, which the contract reads as the default. */
export function requireEvents(events: readonly string[] | undefined): void {
  if (events?.length === 0) {
    throw invalidField('webhook.events', inWords('an empty list'), 'absent or at least one event');
  }
}

/** Throws INVALID_ARGUMENT for a frame that the contract cannot hold. */
export function requireFrame(field: string, frame: number | undefined): void {
  if (frame !== undefined && !(Number.isInteger(frame) && frame >= 0 && frame < 2 ** 32)) {
    throw invalidField(field, frame, 'a whole number of 0 or more');
  }
}

/** Throws INVALID_ARGUMENT for the first of these times that is not one. */
export function requireTimes(times: Readonly<Record<string, Date | undefined>>): void {
  for (const [field, time] of Object.entries(times)) {
    if (time !== undefined && !(time instanceof Date && !Number.isNaN(time.getTime()))) {
      throw invalidField(field, time, 'a valid Date');
    }
  }
}
