import type { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';

/** Serves on standard input and output until the input ends, a message is too long, or the signal aborts. */
export async function serveMcpStdio(server: Server, signal: AbortSignal): Promise<void> {
  const ended = new Promise<void>((end) => {
    server.onclose = end;
    // The transport does not notice the end of its input.
    process.stdin.once('end', end).once('close', end);
    signal.addEventListener('abort', () => end(), { once: true });
  });
  await server.connect(new StdioServerTransport());
  await ended;
  await server.close();
}
