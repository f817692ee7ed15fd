import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, expect, test } from '@jest/globals';
import type { Sql } from 'postgres';
import { createLogger } from '../../services/kit/log.ts';
import { eventually } from '../../test/support/cli.ts';
import type { Webhook } from '../jobs/job.ts';
import { createJob } from '../jobs/store/create-job.ts';
import { cancelJob } from '../jobs/store/end-job.ts';
import { toJob } from '../jobs/store/job-rows.ts';
import { readJob } from '../jobs/store/read-jobs.ts';
import { anonymous } from '../keys/caller.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { newJob } from '../testing/new-job.ts';
import {
  claimDeliveries,
  type DueDelivery,
  forgetReceivers,
  markFailed,
  noteAnswer,
  shortenWaits,
} from './webhook-deliveries.ts';
import { WebhookSender } from './webhook-sender.ts';

afterAll(stopTestServer);

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** A receiver that accepts connections and never answers. */
async function silentReceiver(): Promise<{ server: Server; url: string; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => {})));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, sockets };
}

async function deliver(sql: Sql, url: string, keyId = ''): Promise<void> {
  const caller = { ...anonymous, keyId };
  const { row } = await createJob(sql, { ...newJob, webhook: { url, secret: 's' } }, caller, 1000);
  await cancelJob(sql, row.id, caller);
}

function sender(sql: Sql, callSeconds: number): WebhookSender {
  return new WebhookSender({
    sql,
    describeJob: () => ({ status: 'completed' }),
    log: createLogger('test', 'silent'),
    getJob: async (id) => toJob((await readJob(sql, id, anonymous))!, 0),
    secrets: { open: async (webhook) => webhook as Webhook },
    allowLocal: true,
    callSeconds,
  });
}

test('a receiver that never answers is given up in time, even under garbage collection', () =>
  withData(async ({ database: { sql } }) => {
    const { server, url, sockets } = await silentReceiver();
    let isOver = false;
    // Leaves time for everything else, however long a collection takes.
    const collecting = (async () => {
      for (; !isOver; await pause(20)) {
        collectGarbage();
      }
    })();
    const sending = sender(sql, 0.2);
    try {
      await sending.start();
      await deliver(sql, url);
      await eventually(async () => {
        const [failed] = await sql`select 1 from webhook_deliveries
          where last_error = 'gave no answer within 0.2 seconds'`;
        return failed !== undefined;
      });
    } finally {
      isOver = true;
      await collecting;
      await sending.stop();
      for (const socket of sockets) {
        socket.destroy();
      }
      server.close();
    }
  }));

test('a silent host does not delay others, however many ports it has', () =>
  withData(async ({ database: { sql } }) => {
    const ports = await Promise.all(Array.from({ length: 3 }, silentReceiver));
    const connections = () => ports.flatMap(({ sockets }) => sockets);
    const countLeft = async () => {
      const [left] = await sql<[{ count: number }]>`
        select count(*)::int as count from webhook_deliveries where delivered_at is null`;
      return left.count;
    };
    let received = 0;
    const healthy = createHttpServer((_, response) => {
      received++;
      response.end();
    });
    await once(healthy.listen(0, '127.0.0.1'), 'listening');
    const sending = sender(sql, 600);
    try {
      for (let count = 0; count < 21; count++) {
        await deliver(sql, ports[count % ports.length]!.url);
      }
      await sending.start();
      // It never answered: one place.
      await eventually(() => connections().length >= 1);
      // Another host than the silent one, by its name.
      await deliver(sql, `http://localhost:${(healthy.address() as AddressInfo).port}/`);
      // Recorded, not only received: stopping aborts calls whose answer has not been read.
      await eventually(async () => (await countLeft()) === 21);
      expect([received, connections().length]).toEqual([1, 1]);
    } finally {
      await sending.stop();
      for (const { server } of ports) {
        server.close();
      }
      healthy.close();
    }
    expect(await countLeft()).toBe(21);
  }));

test('calls are distributed: the oldest of each receiver and key, none twice', () =>
  withData(async ({ database: { sql } }) => {
    const urls = [
      'https://one.test/a',
      'https://user:word@one.test/b',
      'http://one.test:8080/',
      'http://two.test/',
      'http://[::1]:81/',
    ];
    for (const url of [...urls, ...urls]) {
      await deliver(sql, url, 'first');
    }
    await deliver(sql, urls[0]!, 'second');
    await sql`insert into webhook_receivers (receiver, is_prompt)
      values ('one.test', true), ('two.test', true), ('[::1]', true)`;
    const bounds = { total: 9, perReceiver: 2, perKey: 5 };
    const taken = await claimDeliveries(sql, bounds, []);
    const names = ({ receiver, keyId }: { receiver: string; keyId: string }) => `${receiver} ${keyId}`;
    expect(taken.map(names).sort()).toEqual(
      ['[::1]', 'one.test', 'one.test', 'two.test', 'two.test'].map((name) => `${name} first`),
    );
    expect((await claimDeliveries(sql, bounds, taken)).map(names)).toEqual([]);
    const rest = taken.filter(({ receiver }) => receiver !== 'one.test');
    expect((await claimDeliveries(sql, bounds, rest)).map(names).sort()).toEqual(['one.test first', 'one.test first']);
    expect((await claimDeliveries(sql, { ...bounds, total: 1 }, [])).map(names)).toHaveLength(1);
  }));

test('the dead receivers of a key delay neither its live ones nor those of another key', () =>
  withData(async ({ database: { sql } }) => {
    const bounds = { total: 16, perReceiver: 3, perKey: 8 };
    for (let count = 0; count < 30; count++) {
      await deliver(sql, `http://dead-${count % 10}.test/`, 'a');
    }
    const names = (claimed: readonly DueDelivery[]) => claimed.map(({ receiver }) => receiver).sort();
    const dead = await claimDeliveries(sql, bounds, []);
    expect(names(dead)).toEqual([0, 1, 2, 3].map((count) => `dead-${count}.test`));
    expect(dead.every(({ isProven }) => !isProven)).toBe(true);
    // Live, but not yet known: after those that wait.
    await deliver(sql, 'http://new.test/', 'a');
    expect(await claimDeliveries(sql, bounds, dead)).toEqual([]);
    for (let count = 0; count < 9; count++) {
      await deliver(sql, 'http://live.test/', 'a');
      await deliver(sql, 'http://other.test/', 'b');
    }
    await noteAnswer(sql, { ...dead[0]!, receiver: 'live.test' }, true);
    const second = await claimDeliveries(sql, bounds, dead);
    expect(names(second)).toEqual(['live.test', 'live.test', 'live.test', 'other.test']);
    expect(second.filter(({ isProven }) => isProven)).toHaveLength(3);
    // Dead ones were tried and are due again: those that were never tried come first.
    for (const delivery of dead) {
      await markFailed(sql, delivery.id, 'gave no answer', 0);
      await noteAnswer(sql, delivery, false);
    }
    const third = await claimDeliveries(sql, { ...bounds, perKey: 14 }, second);
    expect(names(third.filter(({ isProven }) => !isProven))).toEqual([
      ...[4, 5, 6, 7, 8, 9].map((count) => `dead-${count}.test`),
      'new.test',
    ]);
    // A receiver that stops answering is one of them again.
    const [live] = second.filter(({ isProven }) => isProven);
    await noteAnswer(sql, live!, false);
    const rest = await claimDeliveries(sql, { ...bounds, total: 100, perKey: 100 }, []);
    expect(names(rest).filter((name) => name === 'live.test')).toHaveLength(1);
    await noteAnswer(sql, { ...live!, isProven: false }, true);
    await sql`update webhook_receivers set called_at = called_at - interval '25 hours'`;
    await forgetReceivers(sql);
    expect(await sql`select 1 from webhook_receivers`).toHaveLength(0);
  }));

test("the database's clock was set back an hour: calls wait as long as they would have", () =>
  withData(async ({ database: { sql } }) => {
    const waits = [5, 30, 1800];
    for (const attempts of [0, 1, 3]) {
      await deliver(sql, 'https://one.test/');
      await sql`update webhook_deliveries set attempts = ${attempts},
          next_attempt_at = now() + ${waits[attempts - 1] ?? 0} * interval '1 second'
        where last_error = ''`;
      await sql`update webhook_deliveries set last_error = 'seen'`;
    }
    const left = async () =>
      (
        await sql<{ seconds: number }[]>`
          select ceil(extract(epoch from next_attempt_at - now()))::int as seconds from webhook_deliveries
          order by attempts`
      ).map(({ seconds }) => seconds);
    await shortenWaits(sql, waits);
    expect((await left())[1]).toBeLessThanOrEqual(5);
    await sql`update webhook_deliveries set next_attempt_at = next_attempt_at + interval '1 hour'`;
    await shortenWaits(sql, waits);
    const [unsent, first, third] = await left();
    expect([unsent! <= 60, first! <= 60, third! > 1700 && third! <= 1800]).toEqual([true, true, true]);
  }));
