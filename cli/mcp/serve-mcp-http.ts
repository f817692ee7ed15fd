import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { Status } from 'nice-grpc-common';
import type { HostPort } from '../../services/kit/addresses.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';

export interface McpHttpServer {
  /** `host:port`. */
  address: string;
  /** Ends the calls that are still going on, too. */
  close(): Promise<void>;
}

const maxConnections = 64;
const maxBodyBytes = 1 << 20;

/**
 * Serves Streamable HTTP at /mcp, without sessions: each request has a server of its own, which ends with it. Throws
 * UNAVAILABLE for an address that is not free.
 */
export async function serveMcpHttp(create: () => Server, { host, port }: HostPort): Promise<McpHttpServer> {
  const shown = host.includes(':') ? `[${host}]` : host;
  const http = createServer((request, response) => {
    if (request.url?.split('?')[0] !== '/mcp') {
      refuse(response, 404, 'Only /mcp is served here');
    } else if (request.method !== 'POST') {
      refuse(response, 405, 'The method must be POST: there are no sessions', { allow: 'POST' });
    } else {
      answer(request, response).catch((error) => refuse(response, 500, reasonOf(error)));
    }
  });
  http.maxConnections = maxConnections;
  await once(http.listen(port, host), 'listening').catch((error) => {
    throw new FusionError(Status.UNAVAILABLE, `Cannot listen on ${shown}:${port}: ${reasonOf(error)}`, {
      cause: error,
    });
  });
  const { port: bound } = http.address() as AddressInfo;
  const allowedHosts = ['127.0.0.1', '[::1]', 'localhost'].map((name) => `${name}:${bound}`);
  const allowedOrigins = allowedHosts.map((each) => `http://${each}`);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const server = create();
    response.on('close', () => void server.close());
    const transport = new StreamableHTTPServerTransport({
      // Pages in a browser on this machine could otherwise reach it through a host name that they control.
      enableDnsRebindingProtection: true,
      allowedHosts,
      allowedOrigins,
      maxRequestBodySize: maxBodyBytes,
    });
    await server.connect(transport);
    await transport.handleRequest(request, response);
  }

  return {
    address: `${shown}:${bound}`,
    async close() {
      const closed = once(http, 'close');
      http.close();
      http.closeAllConnections();
      await closed;
    },
  };
}

function refuse(response: ServerResponse, status: number, message: string, headers: Record<string, string> = {}): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const error = { jsonrpc: '2.0', error: { code: -32_000, message }, id: null };
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(error));
}
