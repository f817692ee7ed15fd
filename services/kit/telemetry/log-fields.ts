import { context, isSpanContextValid, trace } from '@opentelemetry/api';
import { jobOf } from './job-context.ts';

/** The part of pino's logger used here. */
interface LogBindings {
  bindings(): object;
}

/** The fields that name the active trace and job; none outside of one. */
export function logFields(log: LogBindings): Record<string, string> {
  const active = context.active();
  const span = trace.getSpanContext(active);
  const job = jobOf(active);
  return {
    ...(span && isSpanContextValid(span) && { trace_id: span.traceId, span_id: span.spanId }),
    ...(job && !('job' in log.bindings()) && { job }),
  };
}
