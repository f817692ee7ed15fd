import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import { jobOf } from './job-context.ts';

/** What a log line says about the trace and the job that it was written for; nothing outside of one. */
export function logFields(): Record<string, string> {
  const active = context.active();
  const span = trace.getSpanContext(active);
  const job = jobOf(active);
  return {
    ...(span && isSpanContextValid(span) && { trace_id: span.traceId, span_id: span.spanId }),
    ...(job && { job }),
  };
}
