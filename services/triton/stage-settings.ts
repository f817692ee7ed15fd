import { commonSettings } from '../kit/common-settings.ts';
import { checkedText, decimal, integer, oneOf, type Setting, serverAddress } from '../kit/settings.ts';

/** Settings of every stage. */
export const stageSettings = {
  ...commonSettings,
  inferenceAddress: {
    name: 'FUSIONFRAMES_INFERENCE_ADDRESS',
    description: "Address of the inference server (Triton's gRPC protocol)",
    schema: serverAddress('127.0.0.1:8001'),
  },
  modelVersion: {
    name: 'FUSIONFRAMES_MODEL_VERSION',
    description:
      'Version of the model to use, for stages of several versions at one inference server; empty: the one that the server chooses',
    schema: checkedText('', (text) =>
      /^[1-9]\d{0,17}$/.test(text) ? undefined : 'must be a whole number from 1, as the folders of versions are named',
    ).transform((text) => text || undefined),
  },
  startupTimeoutSeconds: {
    name: 'FUSIONFRAMES_STARTUP_TIMEOUT_SECONDS',
    description: 'How long to wait for the inference server and the model at start, seconds',
    schema: decimal(60, 0, 86_400),
  },
  requestTimeoutSeconds: {
    name: 'FUSIONFRAMES_INFERENCE_TIMEOUT_SECONDS',
    description: 'Longest duration of one inference request (one denoising step), seconds',
    schema: decimal(300, 0.1, 86_400),
  },
  maxBytesInFlight: {
    name: 'FUSIONFRAMES_MAX_BYTES_IN_FLIGHT',
    description: 'Limit on bytes of inference requests in flight; further requests wait',
    schema: integer(256 << 20, 1 << 20, 2 ** 40),
  },
  sharedMemory: {
    name: 'FUSIONFRAMES_SHARED_MEMORY',
    description: 'auto: large tensors go through shared memory where the inference server can open it; off: never',
    schema: oneOf(['auto', 'off'], 'auto'),
  },
  maxConcurrentCalls: {
    name: 'FUSIONFRAMES_MAX_CONCURRENT_CALLS',
    description: 'Concurrent calls of a stage; one more is answered with RESOURCE_EXHAUSTED',
    schema: integer(64, 1, 100_000),
  },
} satisfies Record<string, Setting<unknown>>;
