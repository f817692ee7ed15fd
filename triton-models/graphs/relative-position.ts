/**
 * Bucket of each relative position −maxDistance … maxDistance (key minus query). Half of the buckets are for keys after
 * the query. Of each half, the first half are single positions; the rest grow logarithmically up to `maxDistance`.
 * Positions beyond fall into the last bucket, so the table's ends also stand for them.
 */
export function relativePositionBuckets(buckets: number, maxDistance: number): number[] {
  const perDirection = buckets / 2;
  const exact = perDirection / 2;
  return Array.from({ length: 2 * maxDistance + 1 }, (_, i) => {
    const relative = i - maxDistance;
    const distance = Math.abs(relative);
    const logarithmic =
      exact + Math.floor((Math.log(distance / exact) / Math.log(maxDistance / exact)) * (perDirection - exact) + 1e-6);
    const bucket = distance < exact ? distance : Math.min(logarithmic, perDirection - 1);
    return relative > 0 ? perDirection + bucket : bucket;
  });
}
