import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../kit/errors.ts';
import type { Logger } from '../../kit/log.ts';
import { reasonOf } from '../../kit/reason-of.ts';
import { makeTemporaryFolder } from '../../kit/temporary-folder.ts';
import type { ProviderChoice } from '../provider-choice.ts';
import { ModelInstance } from './model-instance.ts';
import type { Provider } from './session-messages.ts';

/**
 * What the models run on. Tries WebGPU with a small model, unless the CPU was chosen. Throws FAILED_PRECONDITION with the reason
 * if WebGPU was chosen and does not work.
 */
export async function chooseProvider(choice: ProviderChoice, log: Logger): Promise<Provider> {
  if (choice === 'cpu') {
    return 'cpu';
  }
  const reason = await whyNoWebGpu();
  if (reason === undefined) {
    log.info({ provider: 'webgpu' }, 'models run on WebGPU');
    return 'webgpu';
  }
  if (choice === 'webgpu') {
    const message = `WebGPU cannot be used: ${reason}. Choose auto or cpu`;
    throw new FusionError(Status.FAILED_PRECONDITION, message, { reason: 'PROVIDER_UNAVAILABLE' });
  }
  log.warn({ reason }, 'WebGPU cannot be used: models run on the CPU');
  return 'cpu';
}

async function whyNoWebGpu(): Promise<string | undefined> {
  const folder = makeTemporaryFolder();
  let instance: ModelInstance | undefined;
  try {
    const modelFile = join(folder, 'model.onnx');
    // Imported here, because few servers need it.
    const { probeModel } = await import('../../onnx/probe-model.ts');
    await writeFile(modelFile, probeModel());
    instance = await ModelInstance.start({ modelFile, intraOpThreads: 1, provider: 'webgpu' });
    const feed = {
      name: 'X',
      runtimeType: 'float32' as const,
      dims: [1],
      data: new Uint8Array(Float32Array.of(2).buffer),
    };
    const { outputs } = await instance.run({ feeds: [feed], fetches: ['Y'] });
    const [sum] = new Float32Array(outputs[0]!.data);
    return sum === 4 ? undefined : `it computes 2 + 2 = ${sum}`;
  } catch (error) {
    // The runtime puts its source's line and condition before the reason.
    return reasonOf(error)
      .trim()
      .replace(/^.* was false\. /s, '');
  } finally {
    await instance?.close();
    await rm(folder, { recursive: true, force: true });
  }
}
