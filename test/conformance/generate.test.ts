import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from '@jest/globals';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfAllTests } from '../../services/kit/testing/test-scope.ts';
import { awaitEachStage } from '../../services/pipeline/stages.ts';
import { runCli, type ServiceProcess, startService } from '../support/cli.ts';
import { stageEnvironment } from '../support/stage-environment.ts';
import { isServing, serverAddress } from './triton-url.ts';

// For byte-identical frames it must run the ONNX Runtime that this project has.
const withNano = (await isServing('keyframe_unet')) ? test : test.skip;

const scope = scopeOfAllTests();
let folder: string;
beforeAll(() => {
  folder = temporaryFolder(scope);
});

async function generate(name: string, ...options: string[]): Promise<string[]> {
  const frames = join(folder, name);
  const output = ['--output', join(folder, `${name}.mp4`), '--frames', frames];
  const prompt = 'a small yellow circle moving up on a teal background';
  const result = await runCli(['generate', prompt, '--seed', '7', ...output, ...options]);
  expect(result).toMatchObject({ code: 0 });
  const files = (await readdir(frames)).sort();
  return Promise.all(
    files.map(async (file) =>
      createHash('sha256')
        .update(await readFile(join(frames, file)))
        .digest('hex'),
    ),
  );
}

async function generateOn(address: string, sharedMemory: 'auto' | 'off'): Promise<string[]> {
  const running: ServiceProcess[] = [];
  const start = async (name: string, environment: Record<string, string>) => {
    const service = await startService(name, { FUSIONFRAMES_LOG_LEVEL: 'silent', ...environment });
    running.push(service);
    return service.address;
  };
  const inference = { FUSIONFRAMES_INFERENCE_ADDRESS: address, FUSIONFRAMES_SHARED_MEMORY: sharedMemory };
  try {
    const stages = await awaitEachStage((name) => start(name, inference));
    const gateway = await start('gateway', stageEnvironment(stages));
    return await generate(sharedMemory, '--address', gateway);
  } finally {
    await Promise.all(running.reverse().map((service) => service.stop()));
  }
}

withNano(
  'nano on the server at TRITON_URL gives the frames of the embedded one (skipped where that does not serve nano)',
  async () => {
    const expected = await generate('embedded');
    expect(expected).toHaveLength(57);
    expect(await generateOn(serverAddress!, 'off')).toEqual(expected);
    // Takes bytes where the server does not allow shared memory.
    expect(await generateOn(serverAddress!, 'auto')).toEqual(expected);
  },
);
