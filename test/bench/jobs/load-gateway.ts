import { chmod, rm } from 'node:fs/promises';
import { openDatabase } from '../../../gateway/database/open-database.ts';
import { type TestClient, testClient } from '../../../gateway/testing/gateway.ts';
import { type StageHooks, startStageDoubles } from '../../../gateway/testing/stage-doubles.ts';
import { createLogger } from '../../../services/kit/log.ts';
import { makeTemporaryFolder } from '../../../services/kit/temporary-folder.ts';
import { forEachStage } from '../../../services/pipeline/stages.ts';
import { startService } from '../../support/cli.ts';
import { stageEnvironment } from '../../support/stage-environment.ts';
import { processorSecondsOf } from '../processor-seconds.ts';
import { residentMebibytes } from '../resident-memory.ts';

/** A gateway in a process of its own, with an embedded PostgreSQL that writes through, on stages without networks. */
export interface LoadGateway {
  address: string;
  client: TestClient;
  /** Rejects when it ends, with what it wrote. */
  ended: Promise<never>;
  /** Has PostgreSQL count its rows, as it does by itself within a minute; until then it plans for a short table. */
  analyze(): Promise<void>;
  /** Memory of its process, PostgreSQL's aside: resident set, MiB. */
  memory(): Promise<number>;
  /** Its processor time so far, PostgreSQL's aside; 0 where there is no /proc. */
  processorSeconds(): number;
  stop(): Promise<void>;
}

export async function startLoadGateway(hooks: StageHooks, environment: Record<string, string>): Promise<LoadGateway> {
  const folder = makeTemporaryFolder();
  // Root's PostgreSQL runs as another user.
  await chmod(folder, 0o711);
  const stages = await startStageDoubles(hooks);
  const service = await startService('gateway', {
    ...stageEnvironment(forEachStage(() => stages.address)),
    FUSIONFRAMES_LOG_LEVEL: 'error',
    FUSIONFRAMES_DATA_FOLDER: folder,
    FUSIONFRAMES_DRAIN_SECONDS: '0',
    ...environment,
  });
  const client = testClient(service.address);
  return {
    address: service.address,
    client,
    ended: service.ended,
    async analyze() {
      const dataFolder = { path: folder, temporary: false, close: async () => {} };
      const log = createLogger('bench', 'silent');
      const database = await openDatabase({ url: '', dataFolder, log, connections: 1 });
      await database.sql`analyze`;
      await database.close();
    },
    memory: () => residentMebibytes(service.child.pid),
    processorSeconds: () => processorSecondsOf(service.child.pid!),
    async stop() {
      client.close();
      await service.stop();
      await stages.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}
