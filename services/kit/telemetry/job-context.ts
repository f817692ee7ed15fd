import { type Context, propagation } from '@opentelemetry/api';

const entryName = 'fusionframes.job.id';

/** A context in which the spans and log lines of every process that takes part name the job (it travels as baggage). */
export function withJob(context: Context, job: string): Context {
  return propagation.setBaggage(context, propagation.createBaggage({ [entryName]: { value: job } }));
}

/** The job that `context` belongs to. */
export function jobOf(context: Context): string | undefined {
  return propagation.getBaggage(context)?.getEntry(entryName)?.value;
}
