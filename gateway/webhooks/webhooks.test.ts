import { createServer, type IncomingHttpHeaders } from 'node:http';
import { networkInterfaces } from 'node:os';
import { afterAll, describe, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { stopTestServer } from '../testing/data.ts';
import { type TestHttp, withHttp } from '../testing/http.ts';
import { receiverLookup, requireRemote } from './guarded-lookup.ts';

afterAll(stopTestServer);

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

/** Runs `use` with a receiver that answers with the statuses in turn, then 200. */
async function withReceiver(
  statuses: number[],
  use: (url: string, received: Received[]) => Promise<void>,
): Promise<void> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) {
      body += chunk;
    }
    received.push({ headers: request.headers, body });
    response.writeHead(statuses.shift() ?? 200, { location: '/elsewhere' }).end('thanks');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await use(`http://localhost:${(server.address() as { port: number }).port}/hook?token=1`, received);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

interface Delivery {
  attempts: number;
  done: boolean;
  abandoned: boolean;
  error: string;
  wait: number;
}

async function deliveries({ data }: TestHttp): Promise<Delivery[]> {
  return data.database.sql`
    select attempts, delivered_at is not null as done, abandoned_at is not null as abandoned, last_error as error,
      extract(epoch from next_attempt_at - now())::float8 as wait
    from webhook_deliveries`;
}

async function until<T>(look: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found) {
      return found;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const secret = `whsec_${Buffer.from('a secret of some bytes').toString('base64')}`;
const on = { localWebhooks: 'on' } as const;

describe('a webhook', () => {
  test('reports the end, with a signature that the openai client accepts', () =>
    withReceiver([], (url, received) =>
      withHttp(async (http) => {
        const { id } = await http.make({ webhook: { url, secret } });
        const video = await http.ended(id);
        const [delivery] = await until(async () => {
          const found = await deliveries(http);
          return found[0]?.done && found;
        });
        expect(delivery).toMatchObject({ attempts: 1, abandoned: false, error: '' });
        const [{ headers, body }] = received as [Received];
        const client = new OpenAI({ apiKey: 'none', webhookSecret: secret });
        const event = await client.webhooks.unwrap(body, headers as Record<string, string>);
        expect(event).toMatchObject({
          id: headers['webhook-id'],
          object: 'event',
          type: 'video.completed',
          data: video,
        });
        await expect(
          client.webhooks.unwrap(body.replace('nano', 'mano'), headers as Record<string, string>),
        ).rejects.toThrow();
        expect(received).toHaveLength(1);
      }, on),
    ));

  test('reports the events that it names, each with the video as it was then', () =>
    withReceiver([], (url, received) =>
      withHttp(async (http) => {
        const events = ['queued', 'running', 'failed'];
        const { id } = await http.make({ webhook: { url, secret, events } });
        await http.ended(id);
        const other = await http.make({ webhook: { url, secret, events: 'completed' } });
        await http.ended(other.id);
        await until(async () => received.length === 3);
        const told = received.map(({ body }) => JSON.parse(body)).map(({ type, data }) => [type, data.id, data.status]);
        expect(told.sort()).toEqual(
          [
            ['video.completed', other.id, 'completed'],
            ['video.queued', id, 'queued'],
            ['video.running', id, 'in_progress'],
          ].sort(),
        );
        for (const events of [['done'], []]) {
          const body = { prompt: 'x', webhook: { url, secret, events } };
          const refused = await http.send('/v1/videos', { method: 'POST', body });
          const message = expect.stringContaining('one or more of queued, running, completed, failed');
          expect(refused).toMatchObject({ status: 400, json: { error: { param: 'webhook.events', message } } });
        }
      }, on),
    ));

  test('is repeated under the same id until it is accepted', () =>
    withReceiver([503, 302], (url, received) =>
      withHttp(async (http) => {
        const { id } = await http.make({ webhook: { url, secret: 'plain' } });
        await http.send(`/v1/videos/${id}/cancel`, { method: 'POST' });
        for (const [attempts, status, least] of [
          [1, 503, 4],
          [2, 302, 29],
        ] as const) {
          const failed = await until(async () =>
            (await deliveries(http)).find((each) => each.attempts === attempts && each.error !== ''),
          );
          expect(failed).toMatchObject({ done: false, abandoned: false, error: `answered ${status}` });
          expect(failed.wait).toBeGreaterThan(least - 3);
          // A reading transaction may have begun before the writing one.
          expect(failed.wait).toBeLessThanOrEqual(least + 2);
          await http.data.database.sql`update webhook_deliveries set next_attempt_at = now(), last_error = ''`;
        }
        await until(async () => (await deliveries(http))[0]!.done);
        expect(received).toHaveLength(3);
        expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
        expect(JSON.parse(received[2]!.body)).toMatchObject({
          type: 'video.failed',
          data: { error: { code: 'cancelled' } },
        });
      }, on),
    ));

  test('is given up after half a day, or when its receiver answers 410', () =>
    withReceiver([500, 500, 410], (url) =>
      withHttp(async (http) => {
        const { sql } = http.data.database;
        const { id } = await http.make({ webhook: { url, secret } });
        await http.ended(id);
        await until(async () => (await deliveries(http))[0]?.error !== '');
        await sql`update webhook_deliveries set attempts = 8, next_attempt_at = now()`;
        const late = await until(async () => (await deliveries(http)).find(({ abandoned }) => abandoned));
        expect(late).toMatchObject({ attempts: 9, done: false, error: 'answered 500' });
        await sql`delete from webhook_deliveries`;
        await http.ended((await http.make({ webhook: { url, secret } })).id);
        const unwanted = await until(async () => (await deliveries(http)).find(({ abandoned }) => abandoned));
        expect(unwanted).toMatchObject({ attempts: 1, done: false, error: 'answered 410' });
      }, on),
    ));

  test('to this machine is rejected unless allowed, even by name', () =>
    withReceiver([], (url, received) =>
      withHttp(async (http) => {
        const { port } = new URL(url);
        for (const host of ['127.0.0.1', 'localhost', 'x.LOCALHOST.', '[::1]', '0x7f.1', '[::ffff:127.0.0.1]']) {
          const webhook = { url: `http://${host}:${port}/`, secret };
          const refused = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', webhook } });
          expect(refused).toMatchObject({
            status: 403,
            json: { error: { param: 'webhook.url', code: 'local_webhook' } },
          });
        }
        expect(received).toEqual([]);
      }),
    ));

  test('with a user name or password in its URL is rejected without repeating it', () =>
    withHttp(async (http) => {
      for (const user of ['user:pw@', ':pw@', 'user@']) {
        const webhook = { url: `https://${user}receiver.test/`, secret };
        const { status, json } = await http.send('/v1/videos', { method: 'POST', body: { prompt: 'x', webhook } });
        expect([status, json.error.param, json.error.message]).toEqual([
          400,
          'webhook.url',
          '`webhook.url` must be a URL without user name and password (got a URL with credentials)',
        ]);
      }
    }, on));
});

test('a name that resolves to this machine is not called', async () => {
  const looked = new Promise((resolve) => receiverLookup(true)('localhost', { all: true }, (error) => resolve(error)));
  await expect(looked).resolves.toMatchObject({ reason: 'LOCAL_WEBHOOK' });
});

test.each([
  '127.9.9.9',
  '0.0.0.0',
  '169.254.169.254',
  '224.0.0.1',
  '::1',
  '::',
  'fe80::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  'fd00:ec2::254',
  '64:ff9b::7f00:1',
  '2002:7f00:1::',
  '::7f00:1',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '64:ff9b:1::7f00:1',
  '64:ff9b:1:ffff::a9fe:a9fe',
  '::ffff:0:127.0.0.1',
  '2001:0:1::1',
  'fd20:ce::254',
  'fec0::1',
  '240.0.0.1',
  '255.255.255.255',
  '192.0.0.1',
  '2001:db8::5efe:127.0.0.1',
  '2001:db8:1:2:200:5efe:7f00:1',
  '2001:db8:1:2:0:5efe:7f00:0',
  '::ffff:240.0.0.1',
  ...Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? []),
])('%s is refused', (address) => expect(() => requireRemote(address)).toThrow('this machine or a link-local address'));

test.each([
  '10.0.0.1',
  '192.168.1.1',
  '93.184.216.34',
  'fd00::1',
  '2606:2800::1',
  '2001:4860::1',
  '64:ff9b:2::1',
  '::ffff:8.8.8.8',
])('%s may be called', (address) => expect(() => requireRemote(address)).not.toThrow());
