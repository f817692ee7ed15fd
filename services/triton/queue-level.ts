/** The level of Triton's queues that is served first, and the number for a model's default level. */
const first = 1;
const standard = 0;

/** After this many requests at the first level, one waits its turn with all others. */
const requestsAhead = 3;

/**
 * Chooses the `priority` of each inference request of a call in Triton's sense. Those of a video with a priority above 0 go
 * first, except that every fourth waits its turn: a queue with levels serves the lower ones only while the higher ones are
 * empty, so videos that always went first would keep the others waiting for as long as any of them runs. The model needs
 * `priority_levels: 2` and `default_priority_level: 2`; without levels, servers ignore the number.
 *
 * @param priority the video's, −100 to 100
 */
export function queueLevels(priority: number): () => number {
  let requests = 0;
  return () => (priority > 0 && requests++ % (requestsAhead + 1) < requestsAhead ? first : standard);
}
