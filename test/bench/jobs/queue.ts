import { randomUUID } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import type { TestClient } from '../../../gateway/testing/gateway.ts';
import { untilAborted } from '../../../gateway/testing/stage-doubles.ts';
import { toFusionError } from '../../../services/kit/errors.ts';
import { timeLimit } from '../../../services/kit/time-limit.ts';
import { persist } from '../../support/follow.ts';
import { type LoadGateway, startLoadGateway } from './load-gateway.ts';
import { quantile } from './quantile.ts';

const short = 100;
const long = 10_000;
const rounds = 5;
const createsPerRound = 100;
const readsPerRound = 200;
/** If the disk is so busy that the database does not answer, calls are retried, and their time counts. */
const patience = timeLimit(3_600_000).signal;
/** Concurrent calls while jobs are created. */
const parallel = 8;

interface Queue {
  gateway: LoadGateway;
  ids: string[];
  samples: Record<'get' | 'list' | 'deepList', number[]>;
  /** Jobs accepted a second, one figure a round. */
  accepted: number[];
  memory: number;
}

/** Compares a queue of 10,000 jobs with one of 100, each at its own gateway, using them in turns. */
export async function measureQueues(): Promise<void> {
  const queues: Queue[] = [];
  try {
    for (const length of [short, long]) {
      queues.push(await startQueue(length));
    }
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`queues: round ${round} of ${rounds}\n`);
      for (const queue of queues) {
        await Promise.race([useQueue(queue), queue.gateway.ended]);
      }
    }
    for (const queue of queues) {
      queue.memory = await queue.gateway.memory();
    }
  } finally {
    await Promise.all(queues.map(({ gateway }) => gateway.stop()));
  }
  const [few, many] = queues as [Queue, Queue];
  const row = (name: string, value: (queue: Queue) => number) => {
    const [left, right] = [value(few), value(many)];
    const ratio = Number((right / left).toFixed(2));
    return { figure: name, [short]: Number(left.toFixed(2)), [long]: Number(right.toFixed(2)), ratio };
  };
  console.table([
    row('jobs accepted a second', ({ accepted }) => quantile(accepted, 0.5)),
    row('get, median ms', ({ samples }) => quantile(samples.get, 0.5)),
    row('get, 99 % ms', ({ samples }) => quantile(samples.get, 0.99)),
    row('list newest 20, median ms', ({ samples }) => quantile(samples.list, 0.5)),
    row('list newest 20, 99 % ms', ({ samples }) => quantile(samples.list, 0.99)),
    row('list 20 from the middle, median ms', ({ samples }) => quantile(samples.deepList, 0.5)),
    row('list 20 from the middle, 99 % ms', ({ samples }) => quantile(samples.deepList, 0.99)),
    row('memory of the gateway, MiB', ({ memory }) => memory),
  ]);
}

async function startQueue(length: number): Promise<Queue> {
  // One job starts and makes no progress: the others wait.
  const gateway = await startLoadGateway(
    { encode: untilAborted },
    { FUSIONFRAMES_CONCURRENT_JOBS: '1', FUSIONFRAMES_MAX_QUEUED_JOBS: '20000' },
  );
  try {
    const started = performance.now();
    const ids = await Promise.race([createJobs(gateway, length + 1), gateway.ended]);
    const perSecond = ids.length / ((performance.now() - started) / 1000);
    process.stderr.write(`queue of ${length} filled, ${perSecond.toFixed(0)} jobs a second\n`);
    await gateway.analyze();
    return { gateway, ids, samples: { get: [], list: [], deepList: [] }, accepted: [], memory: 0 };
  } catch (error) {
    await gateway.stop();
    throw error;
  }
}

/** Measures calls on a queue, whose length stays the same. */
async function useQueue({ gateway, ids, samples, accepted }: Queue): Promise<void> {
  const call = <T>(make: (client: TestClient['client']) => Promise<T>) =>
    persist([gateway.client], ({ client }) => make(client), patience);
  const started = performance.now();
  const created = await createJobs(gateway, createsPerRound);
  accepted.push(createsPerRound / ((performance.now() - started) / 1000));
  const pageToken = (await call((client) => client.listVideos({ pageSize: 100 }))).nextPageToken;
  const middle = String(Math.max(1, Number(pageToken) - Math.floor(ids.length / 2)));
  for (let read = 0; read < readsPerRound; read++) {
    const id = ids[(read * 7919) % ids.length]!;
    samples.get.push(await time(() => call((client) => client.getVideo({ id }))));
    samples.list.push(await time(() => call((client) => client.listVideos({ pageSize: 20 }))));
    samples.deepList.push(await time(() => call((client) => client.listVideos({ pageSize: 20, pageToken: middle }))));
  }
  for (const id of created) {
    await call((client) => client.cancelVideo({ id }));
    // One that is not found was deleted by a call that heard no answer.
    await call((client) => client.deleteVideo({ id })).catch(ignoreNotFound);
  }
}

function ignoreNotFound(error: unknown): void {
  if (toFusionError(error).code !== Status.NOT_FOUND) {
    throw error;
  }
}

async function createJobs({ client }: LoadGateway, count: number): Promise<string[]> {
  const ids: string[] = [];
  let left = count;
  const work = async () => {
    while (left-- > 0) {
      const clientId = randomUUID();
      ids.push((await persist([client], ({ create }) => create({}, clientId), patience)).id);
      if (ids.length % 1000 === 0) {
        process.stderr.write(`${ids.length} of ${count} jobs made\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return ids;
}

async function time(call: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await call();
  return performance.now() - started;
}
