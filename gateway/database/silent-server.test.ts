import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, expect, test } from '@jest/globals';
import { Status } from 'nice-grpc-common';
import { deferred } from '../../services/kit/deferred.ts';
import { createLogger } from '../../services/kit/log.ts';
import { createAuthority } from '../../services/kit/testing/certificates.ts';
import { eventually } from '../../test/support/cli.ts';
import type { TcpProxy } from '../../test/support/tcp-proxy.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { openProxy } from '../testing/proxied-database.ts';
import { answerInTime, ask } from './ask.ts';
import { isConnectionLoss } from './database-error.ts';
import { databaseUrlFault } from './database-url.ts';
import { Notifications } from './notifications.ts';
import { type Client, openClient } from './open-client.ts';
import { outsideRequest, Patience } from './patience.ts';
import { transact } from './transact.ts';

afterAll(stopTestServer);

const log = createLogger('test', 'silent');

/** Runs `use` with a client whose statements may take a second, behind a proxy. */
function withClient(connections: number, use: (client: Client, proxy: TcpProxy, url: URL) => Promise<void>) {
  return withData(async ({ database }) => {
    const { url, proxy } = await openProxy(database.url);
    const client = openClient(new URL(url), { connections, log, seconds: 1 });
    await use(client, proxy, new URL(url));
    await client.close(1);
    await proxy.close();
  });
}

const silence = { code: 'ETIMEDOUT' };

test('an unanswered statement fails and closes its connection; the next one gets a new connection', () =>
  withClient(1, async ({ sql }, proxy) => {
    await sql`select 1`;
    proxy.silenceOpen();
    await expect(sql`select 1`).rejects.toMatchObject(silence);
    expect(await sql`select 2 as value`).toEqual([{ value: 2 }]);
    const broken = transact(sql, async (transaction) => {
      proxy.silenceOpen();
      await transaction`select 3`;
    });
    expect(isConnectionLoss(await broken.catch((error) => error))).toBe(true);
    expect(await sql`select 4 as value`).toEqual([{ value: 4 }]);
  }));

test('a statement whose answer breaks off fails too', () =>
  withClient(1, async ({ sql }, proxy) => {
    // Long after the connection is made.
    proxy.silenceAfter(50_000);
    await expect(sql`select repeat('x', 100000)`).rejects.toMatchObject(silence);
    proxy.pass();
    expect(await sql`select 1 as value`).toEqual([{ value: 1 }]);
  }));

test('connections dropped by the network are closed with the first one that times out', () =>
  withClient(4, async ({ sql }, proxy) => {
    await Promise.all(Array.from({ length: 4 }, () => sql`select pg_sleep(0.2)`));
    expect(proxy.size).toBe(4);
    proxy.silenceOpen();
    const missed = sql`select 0`.catch((error) => error);
    await eventually(() => proxy.size === 1);
    expect(await Promise.all([sql`select 1`, sql`select 2`, sql`select 3`])).toHaveLength(3);
    expect(await missed).toMatchObject(silence);
  }));

test('arrays of text survive the round trip', () =>
  withClient(1, async ({ sql }) => {
    const texts = ['', 'a', 'NULL', 'with, comma', '"quoted"', 'back\\slash', 'two\nlines', '{}', 'ü 🎞'];
    expect(await sql`select ${texts}::text[] as texts, 'ü 🎞' = any(${texts}) as found`).toEqual([
      { texts, found: true },
    ]);
    expect(await sql`select ${[] as string[]}::text[] as texts`).toEqual([{ texts: [] }]);
  }));

test('a slow server is not mistaken for a silent one', () =>
  withClient(2, async ({ sql }) => {
    await expect(sql`select pg_sleep(5)`).rejects.toMatchObject({ code: '57014' });
    expect(await sql`select 1 as value`).toEqual([{ value: 1 }]);
  }));

test(
  'notifications continue on a new connection when the old one falls silent',
  () =>
    withClient(1, async ({ sql }, proxy, url) => {
      const notifications = new Notifications(url, log);
      let began = 0;
      let heard = deferred<string>();
      await notifications.listen(
        'test',
        (payload) => heard.resolve(payload),
        () => began++,
        5,
      );
      const notify = () => sql`select pg_notify('test', ${`${began}`})`;
      await notify();
      expect(await heard.promise).toBe('1');
      heard = deferred<string>();
      proxy.silenceOpen();
      await eventually(() => began === 2);
      await eventually(() =>
        notify().then(
          () => true,
          () => false,
        ),
      );
      expect(await heard.promise).toBe('2');
      await notifications.close();
    }),
  60_000,
);

test('abandoned queries do not pile up behind a silent server', () =>
  withClient(2, async ({ sql }, proxy) => {
    await sql`select 1`;
    proxy.silence();
    let begun = 0;
    const question = async () => {
      begun++;
      await sql`select 1`;
    };
    const outcomes = await Promise.allSettled(Array.from({ length: 500 }, () => ask(sql, question, 0.5)));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(500);
    expect(begun).toBe(1);
  }));

/** Runs `use` with the port of a server that answers the request for TLS, in front of one that has none. */
async function withTls(port: number, answer: 'S' | 'N', use: (port: number) => Promise<void>): Promise<void> {
  const { certificate, key } = createAuthority().issue('database', ['127.0.0.1']);
  const secureContext = createSecureContext({ cert: certificate, key });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(answer);
      const plain = answer === 'S' ? new TLSSocket(socket, { isServer: true, secureContext }) : socket;
      const further = connect(port, '127.0.0.1');
      for (const each of [plain, further]) {
        each.on('error', () => {}).on('close', () => [plain, further].map((either) => either.destroy()));
      }
      plain.pipe(further).pipe(plain);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  await use((server.address() as AddressInfo).port);
  for (const socket of sockets) {
    socket.destroy();
  }
  server.close();
}

/** One answer of a server behind TLS, or why there is none. */
async function answerOver(url: URL, port: number, sslmode: string): Promise<unknown> {
  const secured = new URL(url);
  secured.searchParams.set('port', String(port));
  secured.searchParams.set('sslmode', sslmode);
  const { sql, close } = openClient(secured, { connections: 1, log, seconds: 1 });
  const answer = await sql`select 1 as value`.catch((error) => error);
  await close(0);
  return answer;
}

test('TLS is used as requested in the URL', () =>
  withClient(1, (_, { port }, url) =>
    withTls(port, 'S', async (secured) => {
      expect(await answerOver(url, secured, 'require')).toEqual([{ value: 1 }]);
      expect(await answerOver(url, secured, 'verify-full')).toMatchObject({
        reason: 'DATABASE_CERTIFICATE',
        message: expect.stringContaining('unable to verify the first certificate'),
      });
      expect(databaseUrlFault(`${url.href}&sslmode=maybe`)).toBe(
        'must have an sslmode that is one of disable, allow, prefer, require, verify-ca, verify-full',
      );
    }),
  ));

test('a server without TLS is used only if the URL allows it', () =>
  withClient(1, (_, { port }, url) =>
    withTls(port, 'N', async (plain) => {
      expect(await answerOver(url, plain, 'prefer')).toEqual([{ value: 1 }]);
      expect(await answerOver(url, plain, 'require')).toMatchObject({ reason: 'DATABASE_WITHOUT_TLS' });
    }),
  ));

test('a silent server is also noticed through TLS', () =>
  withClient(1, (_, inner, url) =>
    withTls(inner.port, 'S', async (port) => {
      const secured = new URL(url);
      secured.searchParams.set('port', String(port));
      secured.searchParams.set('sslmode', 'require');
      const { sql, close } = openClient(secured, { connections: 1, log, seconds: 1 });
      await sql`select 1`;
      inner.silenceOpen();
      await expect(sql`select 1`).rejects.toMatchObject(silence);
      expect(await sql`select 1 as value`).toEqual([{ value: 1 }]);
      await close(0);
    }),
  ));

test('the questions of a request share its time until its response begins', async () => {
  let isAnswering = false;
  const patience = new Patience(() => isAnswering, 2);
  const slow = () => pause(1200).then(() => 'answered');
  const late = { code: Status.UNAVAILABLE, message: 'The database gave no answer within 2 seconds' };
  await patience.during(async () => {
    await expect(Promise.all([answerInTime(slow), answerInTime(slow)])).resolves.toEqual(['answered', 'answered']);
    const shared = outsideRequest(() => answerInTime(slow));
    await expect(answerInTime(slow)).rejects.toMatchObject(late);
    await expect(shared).resolves.toBe('answered');
    await expect(answerInTime(slow)).rejects.toMatchObject(late);
    isAnswering = true;
    await expect(answerInTime(slow)).resolves.toBe('answered');
  });
});
