import { type Attributes, type Context, context, propagation, ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { record } from '../../../services/kit/telemetry/metrics.ts';
import { tracer } from '../../../services/kit/telemetry/spans.ts';

/** Excluded, because they would drown everything else in traces and logs. */
export const probes = ['/healthz', '/health', '/readyz'];

/** Contexts of the requests in progress. */
const contexts = new WeakMap<FastifyRequest, Context>();

/**
 * Starts the span of a request, under its `traceparent` if it has one, and ends it with the response.
 *
 * @param path of the route, not of the request
 */
export function beginTrace(request: FastifyRequest, reply: FastifyReply, path: string): void {
  if (probes.includes(path)) {
    return;
  }
  const start = performance.now();
  const parent = propagation.extract(ROOT_CONTEXT, request.headers);
  const attributes: Attributes = {
    'http.request.method': request.method,
    'http.route': path,
    'url.scheme': request.protocol,
  };
  const span = tracer.startSpan(`${request.method} ${path}`, { kind: SpanKind.SERVER, attributes }, parent);
  contexts.set(request, trace.setSpan(parent, span));
  reply.raw.once('close', () => {
    const statusCode = reply.raw.headersSent ? reply.raw.statusCode : 499;
    const isError = statusCode >= 500;
    const ending = { 'http.response.status_code': statusCode, ...(isError && { 'error.type': String(statusCode) }) };
    span.setAttributes(ending).end();
    record('http.server.request.duration', (performance.now() - start) / 1000, { ...attributes, ...ending });
  });
}

/** Runs the work of a request within its span. */
export function inTrace<T>(request: FastifyRequest, work: () => T): T {
  return context.with(contexts.get(request) ?? context.active(), work);
}
