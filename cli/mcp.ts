import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { type HostPort, parseHostPort } from '../services/kit/addresses.ts';
import { invalidField } from '../services/kit/errors.ts';
import { gatewayOption } from './gateway-address.ts';
import { interruptSignal } from './interrupt.ts';

interface McpOptions {
  address: string;
  http?: string;
  folder?: string;
}

export function mcpCommand(): Command {
  return new Command('mcp')
    .description(
      'Let AI assistants make videos with a gateway, over the Model Context Protocol on standard input and output.',
    )
    .addOption(gatewayOption())
    .option('--http <host:port>', 'serve Streamable HTTP at /mcp instead, to programs on this machine')
    .option(
      '--folder <folder>',
      'where pictures may be read and files written (default: the current folder; with --http nowhere)',
    )
    .action(serveMcp);
}

async function serveMcp({ address, http, folder }: McpOptions): Promise<void> {
  const listen = http === undefined ? undefined : parseListen(http);
  const writable = folder ?? (listen ? undefined : '.');
  if (writable !== undefined) {
    await requireFolder(writable);
  }
  const interrupted = interruptSignal();
  const [{ createMcpServer }, { connectGateway }] = await Promise.all([
    import('./mcp/create-mcp-server.ts'),
    import('./gateway-client.ts'),
  ]);
  const client = await connectGateway(address);
  const create = () => createMcpServer(client, writable === undefined ? undefined : resolve(writable));
  try {
    if (listen) {
      const { serveMcpHttp } = await import('./mcp/serve-mcp-http.ts');
      const server = await serveMcpHttp(create, listen);
      process.stderr.write(`MCP is served at http://${server.address}/mcp\n`);
      if (!interrupted.aborted) {
        await once(interrupted, 'abort');
      }
      await server.close();
    } else {
      const { serveMcpStdio } = await import('./mcp/serve-mcp-stdio.ts');
      await serveMcpStdio(create(), interrupted);
    }
  } finally {
    client.close();
  }
}

function parseListen(address: string): HostPort {
  const listen = parseHostPort(address);
  // Every caller uses the gateway's key.
  if (!listen || !['127.0.0.1', '::1', 'localhost'].includes(listen.host)) {
    throw invalidField('--http', address, '127.0.0.1:port, [::1]:port or localhost:port');
  }
  return listen;
}

async function requireFolder(folder: string): Promise<void> {
  const stats = await stat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) {
    throw invalidField('--folder', folder, 'a folder that exists');
  }
}
