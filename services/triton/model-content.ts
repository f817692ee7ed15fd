import { Status } from 'nice-grpc-common';
import { toFusionError } from '../kit/errors.ts';
import { contentParameter } from '../pipeline/model-manifest.ts';
import type { TritonClient } from './triton-client.ts';

const callSeconds = 10;

/**
 * Hash over the graph and weights of the model that the server has loaded; undefined if its configuration does not give it:
 * the model was built by an earlier release, or the server lacks this extension of the protocol.
 */
export async function modelContent(
  triton: TritonClient,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const version = triton.modelVersion;
  const options = { signal, timeoutSeconds: callSeconds, ...(version !== undefined && { version }) };
  try {
    const { parameters } = await triton.models.config(name, options);
    const own = version === undefined ? undefined : parameters[contentParameter(version)];
    return (own ?? parameters[contentParameter()])?.stringValue;
  } catch (error) {
    if (toFusionError(error).code === Status.UNIMPLEMENTED) {
      return undefined;
    }
    throw error;
  }
}
