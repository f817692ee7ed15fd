import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  CallToolRequestSchema,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
  type Tool,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import type { VideoClient } from '../../gateway/client/video-client.ts';
import { describe } from '../../services/kit/errors.ts';
import { packageVersion } from '../../services/kit/package-root.ts';
import { type McpTool, runTool } from './mcp-tool.ts';
import { videoTools } from './video-tools.ts';

/** A call with the arguments as they came: the SDK's record would leave out one named `__proto__` without a word. */
const callSchema = CallToolRequestSchema.extend({
  params: CallToolRequestSchema.shape.params.extend({ arguments: z.custom<Record<string, unknown>>().optional() }),
});

/**
 * An MCP server whose tools act on a gateway's videos. Not the SDK's `McpServer`, which words errors about arguments itself.
 *
 * @param folder where files may be read and written; absent: nowhere
 */
export function createMcpServer(client: VideoClient, folder: string | undefined): Server {
  const tools = videoTools(client, folder);
  const server = new Server({ name: 'fusionframes', version: packageVersion() }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: tools.map(describeTool) }));
  server.setRequestHandler(callSchema, ({ params: { name, arguments: given = {} } }, context) => {
    const tool = tools.find((each) => each.name === name);
    if (!tool) {
      const names = tools.map((each) => each.name).join(', ');
      throw new McpError(ErrorCode.InvalidParams, `Unknown tool ${describe(name)}; the tools are ${names}`);
    }
    return runTool(tool, given, context);
  });
  return server;
}

function describeTool({ name, title, description, fields, annotations }: McpTool): Tool {
  const inputSchema = z.toJSONSchema(fields, { io: 'input', unrepresentable: 'any' }) as Tool['inputSchema'];
  return { name, title, description, inputSchema, annotations: { openWorldHint: false, ...annotations } };
}
