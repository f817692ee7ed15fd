import { invalidField } from '../services/kit/errors.ts';

const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };
export const deadlineMustBe = 'a duration such as 90s, 10m or 2h, or a time such as 2030-01-31T12:00:00Z';

/** A time without a zone would mean another moment at the gateway's place. */
const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/;

/** The moment that a deadline names: a time from now, such as `90s`, `10m` or `1.5h`, or an ISO 8601 time with its zone. */
export function parseDeadline(text: string, now = Date.now(), field = '--deadline'): Date {
  const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,3})?)([smhd])$/.exec(text) ?? [];
  const time =
    amount && unit
      ? now + 1000 * Number(amount) * unitSeconds[unit]!
      : isoTime.test(text)
        ? Date.parse(text)
        : Number.NaN;
  if (Number.isNaN(time)) {
    throw invalidField(field, text, deadlineMustBe);
  }
  return new Date(time);
}
