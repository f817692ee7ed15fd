import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createLogger } from '../../services/kit/log.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { openDataFolder } from '../data-folder.ts';
import { openGatewayData } from '../gateway-data.ts';
import type { TestData } from './data.ts';
import { startTestGateway, type TestClient, testClient } from './gateway.ts';

export interface GatewayProcess extends TestClient {
  process: ChildProcess;
  /** As `kill -9` does. */
  kill(): Promise<void>;
}

/** Starts a gateway in a separate process, for tests to kill. */
export async function spawnGateway({ database, storage }: TestData, stages: string): Promise<GatewayProcess> {
  const program = join(packageRoot, 'dist', 'gateway', 'testing', 'gateway-process.js');
  const child = spawn(process.execPath, [program, database.url, storage, stages], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const [address] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const client = testClient(address);
  return {
    ...client,
    process: child,
    async kill() {
      client.close();
      child.kill('SIGKILL');
      await once(child, 'close');
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [databaseUrl = '', storage = '', stages = ''] = process.argv.slice(2);
  const log = createLogger('gateway-process', 'silent');
  const data = await openGatewayData({ databaseUrl, storage, dataFolder: await openDataFolder(''), log });
  const server = await startTestGateway(data, stages);
  process.stdout.write(`${server.address}\n`);
}
