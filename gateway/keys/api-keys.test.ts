import { afterAll, describe, expect, test } from '@jest/globals';
import { deferred } from '../../services/kit/deferred.ts';
import { eventually } from '../../test/support/cli.ts';
import { stopTestServer, withData } from '../testing/data.ts';
import { matches, newSecret, parseAuthorization } from './api-key.ts';
import { ApiKeys } from './api-keys.ts';
import { anonymous, type CallerLimits, requireScope, type Scope } from './caller.ts';
import { requireLoopback } from './require-loopback.ts';

const noLimits: CallerLimits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
const everything: Scope[] = ['read', 'create', 'admin'];
const unauthenticated = { codeName: 'UNAUTHENTICATED', reason: 'INVALID_API_KEY' };

describe('with a database', () => {
  afterAll(stopTestServer);

  test('no key is needed until the first one is created; from then on callers need one', async () => {
    await withData(async ({ database }) => {
      const keys = new ApiKeys(database.sql);
      expect(await keys.authenticate(undefined)).toEqual(anonymous);
      expect(await keys.authenticate('')).toEqual(anonymous);
      await keys.requireInForce(anonymous);
      // As the clients of other servers send it.
      expect(await keys.authenticate('Bearer sk-nonsense')).toEqual(anonymous);
      expect(await keys.authenticate(`Bearer ${newSecret().text}`)).toEqual(anonymous);
      const maker = new ApiKeys(database.sql);
      const { key, text } = await maker.create({ name: 'first', scopes: ['read'], limits: noLimits });

      await expect(maker.authenticate(undefined)).rejects.toMatchObject(unauthenticated);
      const other = new ApiKeys(database.sql);
      await expect(other.authenticate(undefined)).rejects.toMatchObject(unauthenticated);
      await expect(other.authenticate('Bearer sk-nonsense')).rejects.toMatchObject(unauthenticated);
      await expect(other.requireInForce(anonymous)).rejects.toMatchObject(unauthenticated);
      // A replica that had just asked learns of it within seconds.
      await eventually(() =>
        keys.authenticate(undefined).then(
          () => false,
          () => true,
        ),
      );
      expect(await keys.authenticate(`Bearer ${text}`)).toEqual({ keyId: key.id, scopes: ['read'], limits: noLimits });
      expect(await keys.authenticate(`bearer  ${text} `)).toMatchObject({ keyId: key.id });
      await keys.revoke(key.id);
      await expect(new ApiKeys(database.sql).authenticate(undefined)).rejects.toMatchObject(unauthenticated);
    });
  });

  test('a first key is created once by replicas that start together, and never again', async () => {
    await withData(async ({ database }) => {
      const { id, text } = newSecret();
      const replicas = [new ApiKeys(database.sql), new ApiKeys(database.sql)];
      const created = await Promise.all(replicas.map((keys) => keys.createFirst(text)));
      expect(created.filter((key) => key !== undefined)).toHaveLength(1);
      for (const keys of replicas) {
        await expect(keys.authenticate(undefined)).rejects.toMatchObject(unauthenticated);
        expect(await keys.authenticate(`Bearer ${text}`)).toMatchObject({ keyId: id, scopes: everything });
      }
      expect(await replicas[0]!.createFirst(newSecret().text)).toBeUndefined();
      await replicas[0]!.revoke(id);
      expect(await replicas[0]!.createFirst(text)).toBeUndefined();
      await expect(replicas[0]!.authenticate(`Bearer ${text}`)).rejects.toMatchObject(unauthenticated);
    });
  });

  test('a key shows its scopes and limits; its secret is not in the database', async () => {
    await withData(async ({ database }) => {
      const keys = new ApiKeys(database.sql);
      const limits = { concurrentJobs: 2, queuedJobs: 7, requestsPerMinute: 1000 };
      const { key, text } = await keys.create({ name: 'Ärger & Söhne 7', scopes: ['create', 'read'], limits });
      expect(text).toMatch(/^ff_[0-9a-f]{12}_[\w-]{43}$/);
      expect(key).toMatchObject({ name: 'Ärger & Söhne 7', scopes: ['create', 'read'], limits, revokedAt: undefined });
      expect(await keys.authenticate(`Bearer ${text}`)).toEqual({ keyId: key.id, scopes: ['create', 'read'], limits });
      await eventually(async () => (await keys.list()).find(({ id }) => id === key.id)?.lastUsedAt !== undefined);
      const [row] = await database.sql`select api_keys::text as row from api_keys where id = ${key.id}`;
      expect(row!.row).not.toContain(text.slice(16));
    });
  });

  test("a wrong secret, another key's and an unknown id are rejected alike", async () => {
    await withData(async ({ database }) => {
      const keys = new ApiKeys(database.sql);
      const one = await keys.create({ name: 'one', scopes: ['read'], limits: noLimits });
      const other = await keys.create({ name: 'other', scopes: ['read'], limits: noLimits });
      const wrong = [
        `Bearer ${one.text.slice(0, -1)}${one.text.endsWith('A') ? 'B' : 'A'}`,
        `Bearer ff_${one.key.id}_${other.text.slice(16)}`,
        `Bearer ff_${'0'.repeat(12)}_${one.text.slice(16)}`,
      ];
      for (const authorization of wrong) {
        await expect(keys.authenticate(authorization)).rejects.toMatchObject({
          ...unauthenticated,
          message: 'Unknown API key',
        });
      }
    });
  });

  test('a revoked key stops working immediately here and within seconds at another replica', async () => {
    await withData(async ({ database }) => {
      const [here, there] = [new ApiKeys(database.sql), new ApiKeys(database.sql)];
      const { key, text } = await here.create({ name: 'short-lived', scopes: everything, limits: noLimits });
      const caller = await here.authenticate(`Bearer ${text}`);
      await there.authenticate(`Bearer ${text}`);
      await here.revoke(key.id);
      await expect(here.authenticate(`Bearer ${text}`)).rejects.toMatchObject(unauthenticated);
      await expect(here.requireInForce(caller)).rejects.toMatchObject(unauthenticated);
      await eventually(() =>
        there.requireInForce(caller).then(
          () => false,
          (error) => error.message.startsWith('This API key was revoked at '),
        ),
      );
      await expect(there.authenticate(`Bearer ${text}`)).rejects.toMatchObject(unauthenticated);
      const { revokedAt } = await here.revoke(key.id);
      expect((await there.list()).find(({ id }) => id === key.id)?.revokedAt).toEqual(revokedAt);
      await expect(here.revoke('nonsense')).rejects.toMatchObject({ codeName: 'NOT_FOUND', field: 'id' });
    });
  });

  test('replicas learn of the first key and of revocations as soon as they are committed', async () => {
    await withData(async ({ database: { sql } }) => {
      const [maker, follower] = [new ApiKeys(sql), new ApiKeys(sql)];
      await follower.follow();
      // Comes after whatever was notified before it.
      const notified = async () => {
        const heard = deferred();
        const { unlisten } = await sql.listen('test_notified', () => heard.resolve());
        await sql.notify('test_notified', '');
        await heard.promise;
        await unlisten();
      };
      expect(await follower.authenticate(undefined)).toEqual(anonymous);
      const { key, text } = await maker.create({ name: 'first', scopes: ['read'], limits: noLimits });
      await notified();
      await expect(follower.authenticate(undefined)).rejects.toMatchObject(unauthenticated);
      await expect(follower.requireInForce(anonymous)).rejects.toMatchObject(unauthenticated);

      const caller = await follower.authenticate(`Bearer ${text}`);
      await maker.revoke(key.id);
      await notified();
      await expect(follower.requireInForce(caller)).rejects.toMatchObject(unauthenticated);
      await expect(follower.authenticate(`Bearer ${text}`)).rejects.toMatchObject(unauthenticated);
    });
  });

  test("replicas share a rate: no more than a minute's requests at once, then when to come back", async () => {
    await withData(async ({ database }) => {
      const replicas = [new ApiKeys(database.sql), new ApiKeys(database.sql)];
      const { key, text } = await replicas[0]!.create({
        name: 'hasty',
        scopes: ['read'],
        limits: { ...noLimits, requestsPerMinute: 6 },
      });
      const ask = (index: number) => replicas[index % 2]!.authenticate(`Bearer ${text}`);
      const answers = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => ask(index)));
      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(6);
      const refused = (answers.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[])[0]!.reason;
      expect(refused).toMatchObject({ codeName: 'RESOURCE_EXHAUSTED', reason: 'RATE_LIMITED' });
      expect(refused.retryAfterSeconds).toBeGreaterThan(0);
      expect(refused.retryAfterSeconds).toBeLessThanOrEqual(10);

      const rewind = (seconds: number) => database.sql`
      update request_rates set refilled_at = refilled_at - make_interval(secs => ${seconds}) where key_id = ${key.id}`;
      await rewind(refused.retryAfterSeconds);
      await ask(0);
      await expect(ask(1)).rejects.toMatchObject({ reason: 'RATE_LIMITED' });
      // A long rest fills the bucket, no more.
      await rewind(3600);
      const later = await Promise.allSettled(Array.from({ length: 8 }, (_, index) => ask(index)));
      expect(later.filter(({ status }) => status === 'fulfilled')).toHaveLength(6);
      await rewind(-30);
      await expect(ask(0)).rejects.toMatchObject({ reason: 'RATE_LIMITED' });
      // The database's clock was set back an hour: the key does not have to wait for it.
      await rewind(-3600);
      const early = await Promise.allSettled(Array.from({ length: 8 }, (_, index) => ask(index)));
      expect(early.filter(({ status }) => status === 'fulfilled')).toHaveLength(6);
    });
  });

  test.each([
    [{ name: '' }, 'name'],
    [{ name: ' x' }, 'name'],
    [{ name: 'a\nb' }, 'name'],
    [{ name: 'a\u0000' }, 'name'],
    [{ name: '\ud800' }, 'name'],
    [{ name: 'x'.repeat(65) }, 'name'],
    [{ scopes: [] }, 'scopes'],
    [{ scopes: ['write' as Scope] }, 'scopes'],
    [{ limits: { ...noLimits, concurrentJobs: -1 } }, 'concurrentJobs'],
    [{ limits: { ...noLimits, queuedJobs: 1.5 } }, 'queuedJobs'],
    [{ limits: { ...noLimits, requestsPerMinute: Number.NaN } }, 'requestsPerMinute'],
    [{ limits: { ...noLimits, requestsPerMinute: 2 ** 31 } }, 'requestsPerMinute'],
  ])('a key of %j is not made', async (given, field) => {
    const wanted = { name: 'good', scopes: ['read'] as Scope[], limits: noLimits, ...given };
    await withData(async ({ database }) => {
      await expect(new ApiKeys(database.sql).create(wanted)).rejects.toMatchObject({
        codeName: 'INVALID_ARGUMENT',
        field,
      });
    });
  });

  test('without the database no caller is admitted', async () => {
    await withData(async ({ database: { sql } }) => {
      const keys = new ApiKeys(sql);
      await sql.end({ timeout: 0 });
      await expect(keys.authenticate(undefined)).rejects.toMatchObject({ codeName: 'UNAVAILABLE' });
      await expect(keys.authenticate(`Bearer ${newSecret().text}`)).rejects.toMatchObject({ codeName: 'UNAVAILABLE' });
    });
  });
});

test.each([
  'Bearer',
  'Bearer ',
  'Basic dXNlcjpwYXNz',
  'ff_0123456789ab_',
  'Bearer ff_0123456789ab_short',
  `Bearer ff_0123456789AB_${'x'.repeat(43)}`,
  `Bearer ff_0123456789ab_${'x'.repeat(44)}`,
  `Bearer ff_0123456789ab_${'x'.repeat(42)}ä`,
  `Bearer ff_0123456789ab_${'x'.repeat(43)}\n`,
  `Bearer ff_0123456789ab_${'x'.repeat(43)} and more`,
])('the authorization %j is not a key', (authorization) => {
  expect(parseAuthorization(authorization)).toBeUndefined();
});

test('an authorization of any length is rejected quickly', () => {
  for (const authorization of [`Bearer ${'ff_'.repeat(1e6)}`, ' '.repeat(1e6), `Bearer${' '.repeat(1e6)}x y`]) {
    expect(parseAuthorization(authorization)).toBeUndefined();
  }
});

test('a secret matches only its own hash', () => {
  const [one, other] = [newSecret(), newSecret()];
  expect(matches(one.text.slice(16), one.hash)).toBe(true);
  expect(matches(one.text.slice(16), other.hash)).toBe(false);
});

test('scopes allow what they name, and admin allows everything', () => {
  const caller = (...scopes: Scope[]) => ({ ...anonymous, scopes });
  requireScope(caller('read'), 'read');
  requireScope(caller('admin'), 'create');
  expect(() => requireScope(caller('read'), 'create')).toThrow('This API key has the scopes read; needed: create');
  expect(() => requireScope(caller('read', 'create'), 'admin')).toThrow('needed: admin');
});

test.each(['127.0.0.1:50050', '127.8.0.1:1', 'localhost:8080', '[::1]:8080', 'unix:///run/gateway', '[0:0::0001]:1'])(
  'without keys %s is allowed',
  (address) => requireLoopback('--listen', address),
);

test.each([
  '0.0.0.0:50050',
  '10.0.0.1:1',
  '[::]:8080',
  'gateway:8080',
  '127.evil.com:1',
  '[::ffff:10.0.0.1]:1',
  '[fe80::1]:1',
  '',
])('without keys %s is refused', (address) =>
  expect(() => requireLoopback('--listen', address)).toThrow('create a key first'),
);
