import { join } from 'node:path';
import { type InferenceServerOptions, startInferenceServer } from '../inference/server.ts';
import { folderOf } from '../inference/testing.ts';
import { createLogger } from '../kit/log.ts';
import { packageRoot } from '../kit/package-root.ts';
import { TritonClient, type TritonOptions } from './triton-client.ts';

/** A server and its client for a test; `stop` ends both. */
export interface TestTriton {
  client: TritonClient;
  address: string;
  stop(): Promise<void>;
}

const log = createLogger('test', 'silent');

/** A client of the embedded server with the models of the recorded exchanges, some of which cannot be loaded. */
export function startRecordedModels(
  server: Partial<InferenceServerOptions> = {},
  client: Partial<TritonOptions> = {},
): Promise<TestTriton> {
  return start(join(packageRoot, 'test', 'fixtures', 'triton', 'models'), server, client);
}

/** A client of the embedded server with these files. */
export async function startModels(
  files: Record<string, string | Uint8Array>,
  server: Partial<InferenceServerOptions> = {},
  client: Partial<TritonOptions> = {},
): Promise<TestTriton> {
  const { folder, remove } = folderOf(files);
  const triton = await start(folder, server, client);
  return { ...triton, stop: () => triton.stop().finally(remove) };
}

async function start(
  repository: string,
  server: Partial<InferenceServerOptions>,
  client: Partial<TritonOptions>,
): Promise<TestTriton> {
  const running = await startInferenceServer({
    address: '127.0.0.1:0',
    repository,
    log,
    exitOnError: false,
    intraOpThreads: 1,
    ...server,
  });
  const triton = new TritonClient({ address: running.address, ...client });
  return {
    client: triton,
    address: running.address,
    stop: async () => {
      await triton.close();
      await running.stop();
    },
  };
}
