import { measureClaims } from './claims.ts';
import { measureForecasts } from './forecast.ts';
import { measurePreemption } from './preemption.ts';
import { measureQueues } from './queue.ts';
import { measureWatchers } from './watchers.ts';

const measures = {
  claims: measureClaims,
  forecasts: measureForecasts,
  preemption: measurePreemption,
  watchers: measureWatchers,
  queues: measureQueues,
};

/** Names on the command line choose; without any, all are measured. */
const chosen = process.argv.slice(2);
const unknown = chosen.find((name) => !(name in measures));
if (unknown !== undefined) {
  throw new Error(`${unknown} is unknown; choose from ${Object.keys(measures).join(', ')}`);
}
for (const [name, measure] of Object.entries(measures)) {
  if (chosen.length === 0 || chosen.includes(name)) {
    await measure();
  }
}
