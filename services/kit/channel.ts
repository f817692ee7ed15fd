import { connectivityState } from '@grpc/grpc-js';
import {
  type CallOptions,
  type Channel,
  type Client,
  type ClientMiddlewareCall,
  type CompatServiceDefinition,
  createChannel,
  createClientFactory,
} from 'nice-grpc';
import { type DeadlineOptions, deadlineMiddleware } from 'nice-grpc-client-middleware-deadline';
import { type RetryOptions, retryMiddleware } from 'nice-grpc-client-middleware-retry';
import { ClientError, Metadata, Status } from 'nice-grpc-common';
import { errorDetailsClientMiddleware } from 'nice-grpc-error-details';
import { spareDrainingConnections } from './draining-keepalive.ts';
import type { ErrorReason } from './error-reasons.ts';
import { FusionError, isAbortError, toFusionError } from './errors.ts';
import { identifyListener } from './identify-listener.ts';
import { add } from './telemetry/metrics.ts';
import { traceClientCalls } from './telemetry/rpc.ts';
import { type ClientTls, clientCredentials } from './tls.ts';

spareDrainingConnections();

/**
 * Bound, in seconds, on calls that last as long as a video is made or watched: far beyond any video's. What ends such a
 * call earlier is that it brings no progress.
 */
export const longCallSeconds = 7 * 24 * 3600;

/** How often a silent server is asked during a call whether it is still there; servers must allow for it. Seconds. */
export const usualKeepaliveSeconds = 20;

export interface ConnectOptions {
  /** Largest message taken or sent, bytes. Default 64 MiB. */
  maxMessageBytes?: number;
  /** Deadline of a call that sets none itself, seconds. Default 60. */
  callTimeoutSeconds?: number;
  /** Silence during a call after which the other side is asked whether it is still there, seconds. Default 20. */
  keepaliveSeconds?: number;
  /** Default: no TLS. */
  tls?: ClientTls;
  /** Sent with every call that brings none itself. */
  metadata?: Record<string, string>;
}

/** Per-call options: `signal`, `deadline` and, for a call that may be repeated, {@link repeatable}. */
export type ConnectedClient<D extends CompatServiceDefinition> = Client<D, RetryOptions & DeadlineOptions>;

export interface Connection<D extends CompatServiceDefinition> {
  client: ConnectedClient<D>;
  /** Resolves when there is a connection, for a call that failed as {@link noConnection}. */
  connected(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** The reason of the error of a call that never left, since nobody was there to take it. */
export const noConnection = 'NO_CONNECTION';

/**
 * For calls whose repetition does no harm: tried again while the other side is UNAVAILABLE, at most 6 times within about 3
 * seconds, which is what a replaced replica takes to be routed around. The error after the last one says how often.
 */
export const repeatable: RetryOptions = {
  retry: true,
  retryBaseDelayMs: 100,
  retryMaxDelayMs: 1000,
  retryMaxAttempts: 6,
  retryableStatuses: [Status.UNAVAILABLE],
};

/**
 * A client of one service of the mesh. Calls go round-robin to all addresses behind the name, end with a deadline in any
 * case, and fail with a {@link FusionError} that names the service and its address when there is no connection. Throws
 * INVALID_ARGUMENT for certificates that cannot be read.
 *
 * @param address `host:port`, `dns:///name:port`, `ipv4:a:1,b:2` or `unix:///absolute/path`
 */
export function connect<D extends CompatServiceDefinition>(
  definition: D,
  address: string,
  options: ConnectOptions = {},
): Connection<D> {
  const maxMessageBytes = options.maxMessageBytes ?? 64 << 20;
  const serverName = options.tls?.serverName;
  const channel = createChannel(address, clientCredentials(options.tls), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': (options.keepaliveSeconds ?? usualKeepaliveSeconds) * 1000,
    // A process that is starved of processors answers late; it is not gone.
    'grpc.keepalive_timeout_ms': 20_000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // Who came back at another address is found within seconds.
    'grpc.dns_min_time_between_resolutions_ms': 5_000,
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    ...(serverName && { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName }),
  });
  // At once, so that the first calls already find all replicas; else they would all go to the one that connects first.
  channel.getConnectivityState(true);
  // The middleware that is attached last sees a call first.
  const client = createClientFactory()
    .use(errorDetailsClientMiddleware)
    .use(explainBrokenCalls)
    .use(retryMiddleware)
    .use(deadlineMiddleware)
    .use(defaultDeadline((options.callTimeoutSeconds ?? 60) * 1000))
    .use(explainErrors(address, channel, options.tls !== undefined))
    .use(traceClientCalls(address))
    .create(definition, channel, { '*': { metadata: Metadata(options.metadata ?? {}) } });
  return {
    client: client as unknown as ConnectedClient<D>,
    connected: (signal) => untilConnected(channel, signal),
    close: () => channel.close(),
  };
}

async function untilConnected(channel: Channel, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) {
      return;
    }
    await new Promise<void>((resolve) => {
      const look = () => {
        signal.removeEventListener('abort', look);
        resolve();
      };
      signal.addEventListener('abort', look);
      channel.watchConnectivityState(state, Date.now() + 1000, look);
    });
  }
}

/**
 * How grpc-js tells of a call whose stream ended without a status: the other side, or a proxy before it, went away in the
 * middle. (A connection that breaks is UNAVAILABLE already; which of the two is seen of a killed process is chance.)
 */
const brokenCall = /^Received RST_STREAM with code [02]\b/;

async function* explainBrokenCalls<Request, Response>(
  call: ClientMiddlewareCall<Request, Response>,
  options: CallOptions,
): AsyncGenerator<Response, Response | void, undefined> {
  try {
    return yield* call.next(call.request, options);
  } catch (thrown) {
    if (thrown instanceof ClientError && thrown.code === Status.INTERNAL && brokenCall.test(thrown.details)) {
      throw new ClientError(thrown.path, Status.UNAVAILABLE, `the call broke off (${thrown.details})`);
    }
    throw thrown;
  }
}

function defaultDeadline(milliseconds: number) {
  return async function* <Request, Response>(
    call: ClientMiddlewareCall<Request, Response, DeadlineOptions>,
    options: CallOptions & DeadlineOptions,
  ): AsyncGenerator<Response, Response | void, undefined> {
    return yield* call.next(call.request, { ...options, deadline: options.deadline ?? milliseconds });
  };
}

function explainErrors(address: string, channel: Channel, hasTls: boolean) {
  return async function* <Request, Response>(
    call: ClientMiddlewareCall<Request, Response, RetryOptions>,
    options: CallOptions & RetryOptions,
  ): AsyncGenerator<Response, Response | void, undefined> {
    let tries = 1;
    const onRetryableError: RetryOptions['onRetryableError'] = ({ code }) => {
      tries++;
      add('fusionframes.retries', 1, {
        'rpc.method': call.method.path.slice(1),
        'rpc.response.status_code': Status[code] as string,
      });
    };
    try {
      return yield* call.next(call.request, { ...options, onRetryableError });
    } catch (thrown) {
      if (isAbortError(thrown) && options.signal?.aborted) {
        throw thrown;
      }
      const error = toFusionError(thrown);
      if (error.code === Status.UNAVAILABLE || error.code === Status.DEADLINE_EXCEEDED) {
        const [, serviceName, method] = call.method.path.split('/');
        const hasNoConnection = neverLeft.test(error.message);
        const listener =
          hasNoConnection && notGrpc.test(error.message) ? await identifyListener(address, hasTls) : undefined;
        const reason = listener
          ? `no connection: there is ${listener}`
          : `${plainReason(error, channel)}${tries > 1 ? ` (called ${tries} times)` : ''}`;
        // What the other side says of its own calls is no news of this one.
        const ofOthers = error.reason === noConnection ? undefined : error.reason;
        throw new FusionError(error.code, `${serviceName}/${method} at ${address}: ${reason}`, {
          reason: hasNoConnection ? noConnection : (ofOthers ?? (Status[error.code] as ErrorReason)),
          cause: thrown,
        });
      }
      throw error;
    }
  };
}

/** How grpc-js tells that nobody took a call. */
const neverLeft = /^(?:\w+: )?No connection established|^Name resolution failed/;

/** How it tells of a connection on which something else than gRPC was spoken. */
const notGrpc = /Protocol error|Failed to connect|SSL routines/;

/** grpc-js wraps why there is no connection into a sentence of each of its layers; the innermost says why. */
function plainReason({ code, message }: FusionError, channel: Channel): string {
  const reason = /^.*No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note:/s.exec(message);
  if (reason) {
    return `no connection (${reason[1]})`;
  }
  const isConnected = channel.getConnectivityState(false) === connectivityState.READY;
  return code === Status.DEADLINE_EXCEEDED && !isConnected ? `${message}, without a connection` : message;
}
