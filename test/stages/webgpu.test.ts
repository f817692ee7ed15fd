import { existsSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startInferenceServer } from '../../services/inference/server.ts';
import { createLogger } from '../../services/kit/log.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { loadPreset, modelNames } from '../../services/pipeline/preset.ts';
import { type Tensor, tensor } from '../../services/pipeline/tensor.ts';
import { TritonClient } from '../../services/triton/triton-client.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';
import { startService } from '../support/cli.ts';
import { tinyPreset } from '../support/tiny-preset.ts';

/** SwiftShader, a Vulkan driver that computes on the CPU, and a Vulkan loader: Debian's Chromium brings both. */
const vulkan = { VK_ICD_FILENAMES: '/usr/lib/chromium/vk_swiftshader_icd.json', LD_LIBRARY_PATH: '/usr/lib/chromium' };
const hasVulkan = existsSync(vulkan.VK_ICD_FILENAMES);
const preset = loadPreset(tinyPreset);
const scope = scopeOfEachTest();
const { signal } = new AbortController();

/** Numbers of about one standard deviation. */
const waves = (length: number) => Float32Array.from({ length }, (_, index) => 1.4 * Math.sin(0.37 * index));

(hasVulkan ? test : test.skip)('networks compute on WebGPU what they compute on the CPU', async () => {
  const built = await ensureRepository(preset);
  const repository = temporaryFolder(scope);
  for (const model of [modelNames.keyframes, modelNames.decoder]) {
    await cp(join(built.folder, model), join(repository, model), { recursive: true });
  }
  const log = createLogger('test', 'silent');
  const onCpu = scope.add(await startInferenceServer({ address: '127.0.0.1:0', repository, log }));
  const onGpu = scope.add(
    await startService('inference', {
      ...vulkan,
      FUSIONFRAMES_EXECUTION_PROVIDER: 'webgpu',
      FUSIONFRAMES_MODEL_REPOSITORY: repository,
    }),
  );
  const clients = [onCpu, onGpu].map(({ address }) => scope.add(new TritonClient({ address })));
  const infer = (model: string, inputs: Record<string, Tensor>) =>
    Promise.all(clients.map((client) => client.infer({ model, inputs, signal })));

  // Both at once, as for two videos.
  const decoding = infer(modelNames.decoder, { latents: tensor('float32', [1, 4, 8, 8], waves(256)) });
  const { context_dim } = preset.keyframes.network;
  const predicting = infer(modelNames.keyframes, {
    latents: tensor('float32', [1, 5, 4, 8, 8], waves(5 * 256)),
    timestep: tensor('float32', [1, 1], Float32Array.of(500)),
    positions: tensor(
      'float32',
      [1, 5],
      Float32Array.from({ length: 5 }, (_, frame) => 12 * frame),
    ),
    context: tensor('float32', [1, 3, context_dim], waves(3 * context_dim)),
    context_mask: tensor('bool', [1, 3], Uint8Array.of(1, 1, 0)),
    unconditional: tensor('bool', [1, 1], Uint8Array.of(0)),
  });
  const [frames, others] = (await decoding).map((outputs) => outputs.frames!.data as Uint8Array);
  expect(Math.max(...frames!.map((byte, index) => Math.abs(byte - others![index]!)))).toBeLessThanOrEqual(1);
  const [cpu, gpu] = (await predicting).map((outputs) => outputs.prediction!.data as Float32Array);
  const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
  const difference = cpu!.map((value, index) => value - gpu![index]!);
  expect(Math.sqrt(squares(difference) / squares(cpu!))).toBeLessThan(1e-3);
});
