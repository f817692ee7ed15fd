import { integer, oneOf, type Setting, text } from '../kit/settings.ts';
import { modelControls } from './model-control.ts';
import { providerChoices } from './provider-choice.ts';

/** Settings of the embedded inference server. */
export const inferenceSettings = {
  repository: {
    name: 'FUSIONFRAMES_MODEL_REPOSITORY',
    description: "Folder of the models to serve; empty: the preset's own, which is built if missing",
    schema: text(''),
  },
  modelControl: {
    name: 'FUSIONFRAMES_MODEL_CONTROL',
    description:
      'none: load all models at startup; poll: follow changes in the folder; explicit: clients load and unload models',
    schema: oneOf(modelControls, 'none'),
  },
  pollSeconds: {
    name: 'FUSIONFRAMES_MODEL_POLL_SECONDS',
    description: 'With poll: time between checks of the repository, seconds',
    schema: integer(15, 1, 86_400),
  },
  intraOpThreads: {
    name: 'FUSIONFRAMES_INFERENCE_THREADS',
    description: 'Threads that one operator of a model may use; 0: one per physical core',
    schema: integer(0, 0, 1024),
  },
  executionProvider: {
    name: 'FUSIONFRAMES_EXECUTION_PROVIDER',
    description:
      'What models run on. webgpu: a GPU through Vulkan, Metal or Direct3D, and it is an error if there is none; auto: the same, ' +
      'but the CPU if there is none. Videos of the same seed differ slightly between them',
    schema: oneOf(providerChoices, 'cpu'),
  },
  maxQueueSize: {
    name: 'FUSIONFRAMES_INFERENCE_MAX_QUEUE',
    description: 'Requests that may wait for one model; one more is answered with UNAVAILABLE',
    schema: integer(1024, 1, 1_000_000),
  },
  maxRequestBytes: {
    name: 'FUSIONFRAMES_INFERENCE_MAX_MESSAGE_BYTES',
    description: 'Largest request, bytes; up to twice as much may be pending at once',
    schema: integer(256 << 20, 1 << 20, 1 << 30),
  },
  allowSharedMemory: {
    name: 'FUSIONFRAMES_ALLOW_CLIENT_SHM',
    description:
      'on: clients on this host may pass tensors in shared memory; anyone who can reach the port can then use such objects',
    schema: oneOf(['on', 'off'], 'off'),
  },
} satisfies Record<string, Setting<unknown>>;
