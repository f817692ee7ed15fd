import {
  type Context,
  context,
  isSpanContextValid,
  type Link,
  propagation,
  ROOT_CONTEXT,
  trace,
} from '@opentelemetry/api';

/** The `traceparent` (W3C Trace Context) of the active span, to be kept and continued elsewhere; empty without one. */
export function activeTraceparent(): string {
  const carrier: { traceparent?: string } = {};
  const span = trace.getSpanContext(context.active());
  if (span && isSpanContextValid(span)) {
    propagation.inject(context.active(), carrier);
  }
  return carrier.traceparent ?? '';
}

/** A context in which new spans are children of a `traceparent`'s; an invalid one starts a new trace. */
export function contextOf(traceparent: string): Context {
  return propagation.extract(ROOT_CONTEXT, { traceparent });
}

/** Links to a `traceparent`'s span; none when it is empty. */
export function linksTo(traceparent: string): Link[] {
  const span = trace.getSpanContext(contextOf(traceparent));
  return span ? [{ context: span }] : [];
}
