import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import type { CallContext, CallOptions, ClientMiddlewareCall, ServerMiddlewareCall } from 'nice-grpc';
import { Metadata, Status } from 'nice-grpc-common';
import { parseHostPort } from '../addresses.ts';
import { toFusionError } from '../errors.ts';
import { jobOf } from './job-context.ts';
import { isMeasuring, record } from './metrics.ts';
import { inContext, tracer } from './spans.ts';

/** Codes that are not errors of the server; a client counts all others as errors, following the conventions. */
const serverErrors: readonly Status[] = [
  Status.UNKNOWN,
  Status.DEADLINE_EXCEEDED,
  Status.UNIMPLEMENTED,
  Status.INTERNAL,
  Status.UNAVAILABLE,
  Status.DATA_LOSS,
];
const clientSuccesses: readonly Status[] = [Status.OK, Status.CANCELLED];

/** Probes and tools, which would drown out the calls. */
const untraced = /^\/grpc\.(health|reflection)\./;

/**
 * Client middleware: one span and one measurement for each call with all its attempts; the span's context travels in
 * the call's metadata (`traceparent`, `baggage`).
 *
 * @param address as `connect()` was given it
 */
export function traceClientCalls(address: string) {
  const server = serverAttributes(address);
  return async function* <Request, Response>(
    call: ClientMiddlewareCall<Request, Response>,
    options: CallOptions,
  ): AsyncGenerator<Response, Response | void, undefined> {
    if (untraced.test(call.method.path)) {
      return yield* call.next(call.request, options);
    }
    const observed = new ObservedCall('client', call.method.path, server, context.active());
    const metadata = Metadata(options.metadata);
    propagation.inject(observed.context, metadata, { set: (carrier, key, value) => void carrier.set(key, value) });
    return yield* observed.follow(call.next(call.request, { ...options, metadata }));
  };
}

/** Server middleware: the counterpart of {@link traceClientCalls}; the call runs within its span. */
export async function* traceServerCalls<Request, Response>(
  call: ServerMiddlewareCall<Request, Response>,
  callContext: CallContext,
): AsyncGenerator<Response, Response | void, undefined> {
  if (untraced.test(call.method.path)) {
    return yield* call.next(call.request, callContext);
  }
  const parent = propagation.extract(ROOT_CONTEXT, callContext.metadata, {
    get: (carrier, key) => carrier.get(key) as string | undefined,
    keys: (carrier) => [...carrier].map(([key]) => key),
  });
  const observed = new ObservedCall('server', call.method.path, {}, parent);
  return yield* observed.follow(
    inContext<Response, Response | void>(observed.context, call.next(call.request, callContext)),
  );
}

class ObservedCall {
  readonly context: Context;
  readonly #side: 'client' | 'server';
  readonly #attributes: Attributes;
  readonly #span: Span;
  readonly #start = performance.now();
  #hasEnded = false;

  constructor(side: 'client' | 'server', path: string, server: Attributes, parent: Context) {
    const method = path.slice(1);
    const job = jobOf(parent);
    this.#side = side;
    this.#attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, ...server };
    this.#span = tracer.startSpan(
      method,
      {
        kind: side === 'client' ? SpanKind.CLIENT : SpanKind.SERVER,
        attributes: { ...this.#attributes, ...(job && { 'fusionframes.job.id': job }) },
      },
      parent,
    );
    this.context = trace.setSpan(parent, this.#span);
  }

  /** Passes on the responses of the call and records how it ends. */
  async *follow<Response>(
    responses: AsyncGenerator<Response, Response | void, undefined>,
  ): AsyncGenerator<Response, Response | void, undefined> {
    try {
      const response = yield* responses;
      this.#end(Status.OK);
      return response;
    } catch (error) {
      this.#end(toFusionError(error).code, error);
      throw error;
    } finally {
      // Only a reader that left early gets here without an ending.
      this.#end(Status.CANCELLED);
    }
  }

  /** Only the first end counts. */
  #end(code: Status, error?: unknown): void {
    if (this.#hasEnded) {
      return;
    }
    this.#hasEnded = true;
    const name = Status[code] as string;
    const isError = this.#side === 'client' ? !clientSuccesses.includes(code) : serverErrors.includes(code);
    const ending: Attributes = { 'rpc.response.status_code': name, ...(isError && { 'error.type': name }) };
    this.#span.setAttributes(ending);
    if (isError) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: toFusionError(error).message });
    }
    this.#span.end();
    if (isMeasuring()) {
      const seconds = (performance.now() - this.#start) / 1000;
      record(`rpc.${this.#side}.call.duration`, seconds, { ...this.#attributes, ...ending });
    }
  }
}

/** Splits `host:port`, `dns:///host:port` and so on, if there is a single port. */
function serverAttributes(address: string): Attributes {
  const target = address.replace(/^(dns|unix|ipv4|ipv6):(\/\/[^/]*)?/, '').replace(/^\/(?=[^/]+:\d+$)/, '');
  const { host, port } = parseHostPort(target) ?? {};
  return host && port ? { 'server.address': host, 'server.port': port } : { 'server.address': target };
}
