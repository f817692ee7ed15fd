const query = matchMedia('(prefers-reduced-motion: reduce)');

/** Whether this person asked for as little motion as possible. */
export function wantsLessMotion(): boolean {
  return query.matches;
}
