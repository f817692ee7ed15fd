import { setMaxListeners } from 'node:events';
import { rmSync } from 'node:fs';
import { logVerbosity, type ServerCredentials, type ServerInterceptor, setLogVerbosity } from '@grpc/grpc-js';
import {
  type CallContext,
  type CompatServiceDefinition,
  createServer,
  type ServerMiddleware,
  type ServerMiddlewareCall,
  type ServiceImplementation,
} from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { errorDetailsServerMiddleware } from 'nice-grpc-error-details';
import { HealthServiceImpl, HealthState } from 'nice-grpc-server-health';
import { HealthDefinition } from '../../proto/gen/grpc/health/v1/health.ts';
import { withPort } from './addresses.ts';
import { checkCaller } from './check-caller.ts';
import { FusionError, isAbortError, toFusionError } from './errors.ts';
import { forgetClosedStreams } from './forget-closed-streams.ts';
import type { Admit } from './limits/admission.ts';
import { boundCalls, type CallBounds } from './limits/bound-calls.ts';
import type { ConnectionBounds } from './limits/bound-connections.ts';
import { boundGrpcConnections, connectionOptions } from './limits/bound-grpc-connections.ts';
import type { Logger } from './log.ts';
import { receiveInPlace } from './messages/receive-in-place.ts';
import { reasonOf } from './reason-of.ts';
import { addReflection } from './reflection.ts';
import { toServerError } from './server-error.ts';
import { refuseInvalidText, withStrictText } from './strict-text.ts';
import { add } from './telemetry/metrics.ts';
import { traceServerCalls } from './telemetry/rpc.ts';
import { type ServerTls, serverCredentials } from './tls.ts';

// Whatever grpc-js prints on standard error also reaches the caller as an error.
setLogVerbosity(logVerbosity.NONE);

boundGrpcConnections();
forgetClosedStreams();
receiveInPlace();

const defaultMessageBytes = 64 << 20;
const defaultConcurrentCalls = 64;

/** A service definition and its implementation. */
export interface Service<D extends CompatServiceDefinition = CompatServiceDefinition> {
  definition: D;
  implementation: ServiceImplementation<D>;
  /** Sees every call of this service before the implementation does. */
  middleware?: ServerMiddleware;
  /** Decides on every call of this service before any of its messages is read; see `admission()` for its result. */
  admit?: Admit;
}

/** Ties a definition to its implementation, for a list of {@link Service}s. */
export function service<D extends CompatServiceDefinition>(
  definition: D,
  implementation: ServiceImplementation<D>,
  hooks: Pick<Service, 'middleware' | 'admit'> = {},
): Service {
  return { definition, implementation, ...hooks } as unknown as Service;
}

export interface ServeOptions {
  /** `host:port` (port 0: any free one) or `unix:///absolute/path`. */
  address: string;
  services: Service[];
  log: Logger;
  /** Default: no TLS. */
  tls?: ServerTls;
  /** Largest message received or sent, bytes. Default 64 MiB. */
  maxMessageBytes?: number;
  /** Largest message received, bytes. Default: as `maxMessageBytes`. */
  maxRequestBytes?: number;
  /** Limits on calls before they are handled; see {@link CallBounds} and `callBounds()` for the defaults. */
  bounds?: Partial<CallBounds>;
  /** Open connections. Default 2048, at most half of them from one address. */
  connections?: ConnectionBounds;
  /** Concurrent calls of {@link services}; one more is RESOURCE_EXHAUSTED. Default 64. */
  maxConcurrentCalls?: number;
  /** Longest duration of a call whose caller set no shorter deadline, seconds. Default 3600. */
  callTimeoutSeconds?: number;
  /** How long calls in progress may go on after {@link RunningServer.stop}, seconds. Default 10. */
  drainSeconds?: number;
  /**
   * Age after which a connection accepts no new calls, so that callers resolve the name again and new replicas get
   * their share; calls in progress continue. Seconds. Default 60.
   */
  connectionAgeSeconds?: number;
  /** Replaces the standard health service (`grpc.health.v1`). */
  health?: Service;
  /** Whether its dependencies are available. Default: always. */
  isReady?: () => boolean;
}

export interface RunningServer {
  /** Where clients reach it: the requested address with the port that was bound. */
  address: string;
  /** Whether it takes calls: its dependencies are available and it has not been stopped. */
  isReady(): boolean;
  /** Reports `NOT_SERVING`, lets calls end, then cancels the rest. Safe to call twice. */
  stop(): Promise<void>;
}

/**
 * Starts a gRPC server with what every process of the mesh has: health, reflection, limits on messages and on the duration of
 * calls, errors with details, and a drain on stop. Throws UNAVAILABLE if the address cannot be bound and INVALID_ARGUMENT if
 * certificates cannot be read.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const { address, services, log } = options;
  const maxMessageBytes = options.maxMessageBytes ?? defaultMessageBytes;
  const credentials = serverCredentials(options.tls);
  const stopping = new AbortController();
  const health = HealthState();
  // Every health watch listens to both, and `boundCalls` limits the watches.
  setMaxListeners(0, stopping.signal, health);

  const bounds = callBounds(options);
  const server = createServer({
    'grpc.max_receive_message_length': bounds.messageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': callsPerConnection(options),
    'grpc.keepalive_permit_without_calls': 1,
    'grpc.max_connection_age_ms': (options.connectionAgeSeconds ?? 60) * 1000,
    ...connectionOptions(options.connections ?? { total: 2048, perAddress: 1024 }, log),
    ...interceptors([boundCalls(bounds, admissionsOf(services), log), ...callerChecks(options.tls, log)]),
  })
    .use(traceServerCalls)
    .use(errorDetailsServerMiddleware)
    .use(reportErrors(log))
    .use(endInTime((options.callTimeoutSeconds ?? 3600) * 1000, stopping.signal));

  const admit = boundConcurrency(options.maxConcurrentCalls ?? defaultConcurrentCalls);
  const reflected: string[] = [];
  for (const { definition, implementation, middleware } of services) {
    const admitted = server.with(admit);
    (middleware ? admitted.with(middleware) : admitted)
      .with(refuseInvalidText)
      .add(withStrictText(definition), implementation as ServiceImplementation<CompatServiceDefinition>);
    reflected.push(fullName(definition));
  }
  const strict = server.with(refuseInvalidText);
  const standardHealth = { definition: HealthDefinition, implementation: HealthServiceImpl(health) as never };
  const { definition, implementation } = options.health ?? standardHealth;
  strict.add(withStrictText(definition), implementation as ServiceImplementation<CompatServiceDefinition>);
  addReflection(strict, [...reflected, HealthDefinition.fullName]);

  const bound = await listen(server, address, credentials);
  health.setStatus('healthy');
  for (const name of reflected) {
    health.setStatus('healthy', name);
  }
  log.info({ address: bound }, 'serving');

  let stopped: Promise<void> | undefined;
  const stop = async () => {
    for (const name of ['', ...reflected]) {
      health.setStatus('unhealthy', name);
    }
    stopping.abort();
    const force = setTimeout(() => server.forceShutdown(), (options.drainSeconds ?? 10) * 1000);
    await server.shutdown();
    clearTimeout(force);
    log.info({ address: bound }, 'stopped');
  };
  return {
    address: bound,
    isReady: () => !stopping.signal.aborted && (options.isReady?.() ?? true),
    stop: () => (stopped ??= stop()),
  };
}

/** `createServer` passes this to grpc-js, although its type lacks it. */
function interceptors(list: ServerInterceptor[]): object {
  return { interceptors: list };
}

function callerChecks(tls: ServerTls | undefined, log: Logger): ServerInterceptor[] {
  return tls?.files && tls.needsClient ? [checkCaller(tls.allowedCallers, log)] : [];
}

function callBounds({ maxMessageBytes, maxRequestBytes, maxConcurrentCalls, bounds }: ServeOptions): CallBounds {
  const messageBytes = maxRequestBytes ?? maxMessageBytes ?? defaultMessageBytes;
  return {
    messageBytes,
    openCalls: (maxConcurrentCalls ?? defaultConcurrentCalls) + 1024,
    pendingBytes: Math.max(64 << 20, 2 * messageBytes),
    pendingCallsPerAddress: 256,
    messageSeconds: 30,
    streamsMayWait: false,
    ...bounds,
  };
}

/** One connection may use up to half of the concurrent calls. */
function callsPerConnection({ maxConcurrentCalls = defaultConcurrentCalls }: ServeOptions): number {
  return Math.max(128, Math.min(4096, Math.ceil(maxConcurrentCalls / 2)));
}

function admissionsOf(services: readonly Service[]): (path: string) => Admit | undefined {
  const admits = new Map(services.map(({ definition, admit }) => [fullName(definition), admit]));
  return (path) => admits.get(path.split('/')[1]!);
}

async function listen(
  server: ReturnType<typeof createServer>,
  address: string,
  credentials: ServerCredentials,
): Promise<string> {
  if (address.startsWith('unix://')) {
    // The bind would fail on a socket that a killed process left behind.
    rmSync(address.slice('unix://'.length), { force: true });
  }
  try {
    const port = await server.listen(address, credentials);
    return address.startsWith('unix://') ? address : withPort(address, port);
  } catch (error) {
    throw new FusionError(Status.UNAVAILABLE, `address: cannot listen on ${address}: ${reasonOf(error)}`, {
      reason: 'ADDRESS_UNAVAILABLE',
      field: 'address',
      cause: error,
    });
  }
}

const ourFaults: readonly Status[] = [Status.INTERNAL, Status.UNKNOWN, Status.DATA_LOSS];

/**
 * The caller's mistakes are only logged for debugging; our faults are logged with their stack, unless they were thrown on
 * purpose.
 */
function reportErrors(log: Logger) {
  return async function* <Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | void, undefined> {
    try {
      return yield* call.next(call.request, context);
    } catch (thrown) {
      if (context.signal.aborted && isAbortError(thrown)) {
        throw thrown;
      }
      const error = toFusionError(thrown);
      if (!ourFaults.includes(error.code)) {
        log.debug({ method: call.method.path, code: error.codeName }, error.message);
      } else if (error === thrown && error.cause === undefined) {
        log.warn({ method: call.method.path, code: error.codeName, reason: error.reason }, error.message);
      } else {
        log.error({ method: call.method.path, err: thrown }, error.message);
      }
      throw toServerError(error);
    }
  };
}

function boundConcurrency(limit: number) {
  let running = 0;
  return async function* <Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | void, undefined> {
    const method = { 'rpc.method': call.method.path.slice(1) };
    if (running >= limit) {
      add('fusionframes.calls', 1, { ...method, 'fusionframes.admission': 'refused' });
      throw new FusionError(
        Status.RESOURCE_EXHAUSTED,
        `${call.method.path}: too many calls at once, ${running} of ${limit}; try again later`,
        { reason: 'TOO_MANY_CALLS' },
      );
    }
    running++;
    add('fusionframes.calls', 1, { ...method, 'fusionframes.admission': 'admitted' });
    add('fusionframes.calls.active', 1, method);
    try {
      return yield* call.next(call.request, context);
    } finally {
      running--;
      add('fusionframes.calls.active', -1, method);
    }
  };
}

/**
 * Ends calls that last too long, and when the server stops, those that ask for it with `abortOnTerminate`: health watches, which last
 * as long as the server. A drain does not wait for them. One signal for all reasons, because each costs as much as a small message.
 */
function endInTime(milliseconds: number, stopping: AbortSignal) {
  return async function* <Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | void, undefined> {
    const ended = new AbortController();
    let isExpired = false;
    const timer = setTimeout(() => {
      isExpired = true;
      ended.abort();
    }, milliseconds).unref();
    const end = () => ended.abort();
    const endOn = (signal: AbortSignal) => {
      signal.addEventListener('abort', end);
      if (signal.aborted) {
        end();
      }
    };
    endOn(context.signal);
    const abortOnTerminate = () => endOn(stopping);
    try {
      return yield* call.next(call.request, { ...context, signal: ended.signal, abortOnTerminate } as CallContext);
    } catch (error) {
      if (isExpired && isAbortError(error)) {
        throw new FusionError(
          Status.DEADLINE_EXCEEDED,
          `${call.method.path} took longer than this server allows (${milliseconds / 1000} s)`,
        );
      }
      throw error;
    } finally {
      clearTimeout(timer);
      context.signal.removeEventListener('abort', end);
      stopping.removeEventListener('abort', end);
    }
  };
}

function fullName(definition: CompatServiceDefinition): string {
  if ('fullName' in definition) {
    return definition.fullName as string;
  }
  const [first] = Object.values(definition) as { path: string }[];
  return first?.path.split('/')[1] ?? '';
}
