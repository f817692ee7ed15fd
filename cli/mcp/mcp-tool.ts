import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js';
import type {
  CallToolResult,
  ServerNotification,
  ServerRequest,
  ToolAnnotations,
} from '@modelcontextprotocol/sdk/types.js';
import { Status } from 'nice-grpc-common';
import type { z } from 'zod';
import { FusionError, isAbortError, toFusionError } from '../../services/kit/errors.ts';
import { withoutNulls } from '../../services/kit/null-fields.ts';
import { describeFaults, tryParse } from '../../services/kit/schema.ts';
import { withGatewayHint } from '../gateway-hint.ts';

/** Of one call: its signal, and the way back to the caller. */
export type ToolContext = Pick<
  RequestHandlerExtra<ServerRequest, ServerNotification>,
  'signal' | '_meta' | 'sendNotification'
>;

export interface McpTool<F extends z.ZodObject = z.ZodObject> {
  name: string;
  title: string;
  description: string;
  fields: F;
  annotations: ToolAnnotations;
  /** What it throws becomes the call's result. */
  run(given: z.output<F>, context: ToolContext): Promise<CallToolResult>;
}

/** Describes a tool. */
export function mcpTool<F extends z.ZodObject>(described: McpTool<F>): McpTool {
  return described as unknown as McpTool;
}

/** A result for people and programs. */
export function jsonResult(value: object): CallToolResult {
  const text = JSON.stringify(value);
  return { content: [{ type: 'text', text }], structuredContent: JSON.parse(text) };
}

/** Runs a tool. Errors are results, as the protocol requires: the assistant reads them and can correct its call. */
export async function runTool(
  tool: McpTool,
  given: Record<string, unknown>,
  context: ToolContext,
): Promise<CallToolResult> {
  try {
    const parsed = tryParse(tool.fields, withoutNulls(tool.fields, given));
    if ('faults' in parsed) {
      const { faults } = parsed;
      const field = faults[0]!.field;
      throw new FusionError(Status.INVALID_ARGUMENT, describeFaults(faults), { reason: 'INVALID_FIELD', field });
    }
    return await tool.run(parsed.value, context);
  } catch (error) {
    if (isAbortError(error)) {
      throw error;
    }
    const { codeName: code, reason, field, message, retryAfterSeconds } = toFusionError(withGatewayHint(error));
    return { ...jsonResult({ code, reason, field, message, retryAfterSeconds }), isError: true };
  }
}
