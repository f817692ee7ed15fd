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
import { forgetClosedStreams } from './forget-closed-streams.ts';
import { identifyListener } from './identify-listener.ts';
import { leastPending, type Replicas, registerLeastPending, replicasOption } from './least-pending.ts';
import { receiveInPlace } from './messages/receive-in-place.ts';
import { noConnection } from './no-connection.ts';
import { reasonOf } from './reason-of.ts';
import { add } from './telemetry/metrics.ts';
import { traceClientCalls } from './telemetry/rpc.ts';
import { type ClientTls, clientCredentials } from './tls.ts';

spareDrainingConnections();
forgetClosedStreams();
receiveInPlace();
registerLeastPending();

/**
 * Deadline, in seconds, of calls that last as long as making or watching a video: far longer than any video takes. Such
 * a call ends earlier when it makes no progress.
 */
export const longCallSeconds = 7 * 24 * 3600;

/** How often a silent server is pinged during a call, seconds. Servers must allow it: see deploy/triton/start.sh. */
export const usualKeepaliveSeconds = 20;

/** How long a pinged server may take to answer, seconds: a process short of CPU answers late although it is alive. */
const maxPingSeconds = 20;

export interface ConnectOptions {
  /** Largest message received or sent, bytes. Default 64 MiB. */
  maxMessageBytes?: number;
  /** Deadline of a call that sets none itself, seconds. Default 60. */
  callTimeoutSeconds?: number;
  /**
   * Silence during a call after which the server is pinged, seconds. It then has as long again, at most 20 s, before its
   * calls fail with UNAVAILABLE and no more go to its address. Default 20.
   */
  keepaliveSeconds?: number;
  /**
   * Bytes that may be under way to the client without its consent, on a connection and in a call. The default of HTTP/2, 64 KiB,
   * makes large answers wait for the network's round trips.
   *
   * Servers keep that default: Node's HTTP/2 reads nothing from a connection while it cannot write to it. If more were
   * under way in both directions than the sockets hold, both sides would wait for the other until keepalive ends the connection.
   */
  windowBytes?: number;
  /** Default: no TLS. */
  tls?: ClientTls;
  /** Sent with every call that has no metadata of its own. */
  metadata?: Record<string, string>;
  /** Whether it connects by itself instead of sharing connections, and waits after failed attempts, with other clients. */
  ownConnections?: boolean;
}

/** Per-call options: `signal`, `deadline` and, for a call that may be repeated, {@link repeatable}. */
export type ConnectedClient<D extends CompatServiceDefinition> = Client<D, RetryOptions & DeadlineOptions>;

export interface Connection<D extends CompatServiceDefinition> {
  client: ConnectedClient<D>;
  /** Resolves when there is a connection, for a call that failed with {@link noConnection}. */
  connected(signal: AbortSignal): Promise<void>;
  /** Of the address. */
  replicas: Readonly<Replicas>;
  close(): void;
}

/**
 * For idempotent calls: retried while the server is UNAVAILABLE, at most 6 times within about 3 seconds, the time it takes to
 * route around a replaced replica. The final error says how often it was called.
 */
export const repeatable: RetryOptions = {
  retry: true,
  retryBaseDelayMs: 100,
  retryMaxDelayMs: 1000,
  retryMaxAttempts: 6,
  retryableStatuses: [Status.UNAVAILABLE],
};

/**
 * A client of one service of the mesh. Of the addresses behind the name, each call goes to the one with the fewest pending calls
 * of this client. Calls always have a deadline, and fail with a {@link FusionError} that names the service and its address when
 * there is no connection. Throws INVALID_ARGUMENT if certificates cannot be read.
 *
 * @param address `host:port`, `dns:///name:port`, `ipv4:a:1,b:2` or `unix:///absolute/path`
 */
export function connect<D extends CompatServiceDefinition>(
  definition: D,
  address: string,
  options: ConnectOptions = {},
): Connection<D> {
  const maxMessageBytes = options.maxMessageBytes ?? 64 << 20;
  const keepaliveSeconds = options.keepaliveSeconds ?? usualKeepaliveSeconds;
  const serverName = options.tls?.serverName;
  const replicas: Replicas = { ready: 0 };
  const channel = createChannel(address, clientCredentials(options.tls), {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.keepalive_time_ms': keepaliveSeconds * 1000,
    'grpc.keepalive_timeout_ms': Math.min(keepaliveSeconds, maxPingSeconds) * 1000,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 2_000,
    // A server that came back at another address is found within seconds.
    'grpc.dns_min_time_between_resolutions_ms': 5_000,
    [replicasOption]: replicas,
    'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ [leastPending]: {} }] }),
    ...(options.windowBytes !== undefined && { 'grpc-node.flow_control_window': options.windowBytes }),
    ...(options.ownConnections && { 'grpc.use_local_subchannel_pool': 1 }),
    ...(serverName && { 'grpc.ssl_target_name_override': serverName, 'grpc.default_authority': serverName }),
  });
  // Connect now, so that the first calls find all replicas; otherwise they all go to the first that connects.
  channel.getConnectivityState(true);
  // The middleware that is attached last sees a call first.
  const factory = createClientFactory()
    .use(errorDetailsClientMiddleware)
    .use(explainBrokenCalls)
    .use(retryMiddleware)
    .use(deadlineMiddleware)
    .use(defaultDeadline((options.callTimeoutSeconds ?? 60) * 1000))
    .use(explainErrors(address, channel, options.tls !== undefined))
    .use(traceClientCalls(address));
  const client = factory.create(definition, channel, { '*': { metadata: Metadata(options.metadata ?? {}) } });
  return {
    client: client as unknown as ConnectedClient<D>,
    connected: (signal) => untilConnected(channel, signal),
    replicas,
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
 * How grpc-js reports a stream that ended without a status: the server, or a proxy in front of it, went away during the call.
 * (A broken connection is already UNAVAILABLE; a killed process shows up as either.)
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
      throw new ClientError(thrown.path, Status.UNAVAILABLE, `the call was interrupted (${thrown.details})`);
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
          : `${plainReason(error, channel)}${tries > 1 ? ` (after ${tries} attempts)` : ''}`;
        // A server may pass on this reason of a call it made itself.
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

/** How grpc-js reports a call that was never sent. */
const neverLeft = /^(?:\w+: )?No connection established|^Name resolution failed/;

/** How it reports a server that does not speak gRPC. */
const notGrpc = /Protocol error|Failed to connect|SSL routines/;

/** grpc-js wraps the reason for a missing connection in a sentence per layer; the innermost is the reason. */
function plainReason({ code, message }: FusionError, channel: Channel): string {
  const reason = /^.*No connection established\. Last error: (?:Error: )?(.*?)\. Resolution note:/s.exec(message);
  if (reason) {
    // No attempt has ended yet, or failed in a way that left no error.
    return reason[1] === 'null' ? 'no connection' : `no connection (${reasonOf(new Error(reason[1]))})`;
  }
  const isConnected = channel.getConnectivityState(false) === connectivityState.READY;
  return code === Status.DEADLINE_EXCEEDED && !isConnected ? `${message}, without a connection` : message;
}
