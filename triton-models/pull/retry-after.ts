/**
 * How long to wait before repeating a rejected request, in seconds: from `Retry-After` (seconds or a date) or the hub's
 * `RateLimit` (`"api";r=0;t=55`: nothing left for 55 s). Undefined if the response does not say.
 */
export function retryAfterSeconds(headers: Pick<Headers, 'get'>, now = Date.now()): number | undefined {
  const after = headers.get('retry-after')?.trim();
  if (after !== undefined && /^\d+$/.test(after)) {
    return Number(after);
  }
  const date = after === undefined ? Number.NaN : Date.parse(after);
  if (!Number.isNaN(date)) {
    return Math.max(0, Math.ceil((date - now) / 1000));
  }
  const resets = (headers.get('ratelimit') ?? '')
    .split(',')
    .filter((limit) => /;\s*r=0\s*(;|$)/.test(limit))
    .flatMap((limit) => [...limit.matchAll(/;\s*t=(\d+)/g)].map(([, seconds]) => Number(seconds)));
  return resets.length === 0 ? undefined : Math.max(...resets);
}
