import {
  type Attributes,
  type Context,
  context,
  type Link,
  type Span,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { Status } from 'nice-grpc-common';
import { isAbortError, toFusionError } from '../errors.ts';
import type { SpanName, spans } from './registry.ts';

/** The attributes that the registry allows a span. */
export type SpanAttributes<N extends SpanName> = {
  [A in (typeof spans)[N]['attributes'][number]]?: string | number;
};

export const tracer = trace.getTracer('fusionframes');

type InternalSpan = Exclude<SpanName, 'rpc.client' | 'rpc.server' | 'http.server'>;

/** Runs `work` within a span, by default a child of the active one; errors other than cancellations are recorded. */
export function inSpan<N extends InternalSpan, T>(
  name: N,
  attributes: SpanAttributes<N>,
  work: () => Promise<T>,
  place: { parent?: Context; links?: Link[] } = {},
): Promise<T> {
  const { parent = context.active(), links = [] } = place;
  return tracer.startActiveSpan(name, { attributes: attributes as Attributes, links }, parent, async (span) => {
    try {
      return await work();
    } catch (error) {
      markError(span, error);
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Adds attributes to the active span, if there is one. */
export function describeSpan<N extends SpanName>(attributes: SpanAttributes<N>): void {
  trace.getActiveSpan()?.setAttributes(attributes as Attributes);
}

/** A link to the active span; undefined if there is none. */
export function linkToSpan(): Link | undefined {
  const span = trace.getActiveSpan();
  return span && { context: span.spanContext() };
}

/** Marks the active span as failed. */
export function failSpan(error: unknown): void {
  const span = trace.getActiveSpan();
  if (span) {
    markError(span, error);
  }
}

/**
 * Reads `source` within the context `active`. A generator runs in the context of its reader, so starting it in another
 * one is not enough.
 */
export async function* inContext<T, R>(
  active: Context,
  source: AsyncGenerator<T, R, undefined>,
): AsyncGenerator<T, R, undefined> {
  let isDone = false;
  try {
    for (;;) {
      const result = await context.with(active, () => source.next());
      if (result.done) {
        isDone = true;
        return result.value;
      }
      yield result.value;
    }
  } catch (error) {
    isDone = true;
    throw error;
  } finally {
    if (!isDone) {
      await context.with(active, () => source.return(undefined as R));
    }
  }
}

/** How something ended, as a value of `fusionframes.outcome`. */
export function outcomeOf(error: unknown): 'failed' | 'cancelled' {
  return isAbortError(error) || toFusionError(error).code === Status.CANCELLED ? 'cancelled' : 'failed';
}

function markError(span: Span, error: unknown): void {
  if (outcomeOf(error) === 'failed') {
    const { codeName, message } = toFusionError(error);
    span.setAttribute('error.type', codeName).setStatus({ code: SpanStatusCode.ERROR, message });
  }
}
