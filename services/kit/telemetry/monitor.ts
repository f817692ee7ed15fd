import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Status } from 'nice-grpc-common';
import { parseHostPort } from '../addresses.ts';
import { FusionError, invalidField } from '../errors.ts';
import { listenBacklog } from '../limits/listen-backlog.ts';
import { isReady } from '../readiness.ts';
import { reasonOf } from '../reason-of.ts';

export interface MonitorOptions {
  /** `host:port`. */
  address: string;
  /** Answers /metrics; undefined: no metrics. */
  metrics: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
}

export interface Monitor {
  stop(): Promise<void>;
}

const field = 'FUSIONFRAMES_METRICS_ADDRESS';

/**
 * Serves monitoring over plain HTTP: `/metrics` for Prometheus, and for probes, which have neither certificates nor keys,
 * `/healthz`, which answers while the process lives, and `/readyz`, 200 while it takes calls and 503 otherwise. Throws
 * INVALID_ARGUMENT for an address that is invalid or not of this machine, and UNAVAILABLE if it is in use.
 */
export async function startMonitor({ address, metrics }: MonitorOptions): Promise<Monitor> {
  const { host, port = 0 } = parseHostPort(address) ?? {};
  if (host === undefined || port === 0) {
    throw invalidField(field, address, 'host:port with a port from 1 to 65535');
  }
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (path === '/metrics' && metrics) {
      metrics(request, response);
    } else if (path === '/healthz') {
      say(response, 200, 'ok');
    } else if (path === '/readyz') {
      say(response, isReady() ? 200 : 503, isReady() ? 'ready' : 'not ready');
    } else {
      say(response, 404, 'not found');
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) =>
      reject(
        cause.code === 'EADDRINUSE'
          ? new FusionError(Status.UNAVAILABLE, `${field}: cannot listen on ${address}: ${reasonOf(cause)}`, {
              reason: 'ADDRESS_UNAVAILABLE',
              field,
              cause,
            })
          : invalidField(field, address, `an address of this machine that can be opened (${reasonOf(cause)})`),
      ),
    );
    server.listen({ port, host, backlog: listenBacklog }, resolve);
  });
  return {
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function say(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(`${text}\n`);
}
