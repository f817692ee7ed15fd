import { afterAll, expect, test } from '@jest/globals';
import { stopTestServer, withData } from '../testing/data.ts';
import { parseKeys, WebhookSecrets } from './webhook-secrets.ts';

afterAll(stopTestServer);

const webhook = { url: 'https://receiver.test/hook', secret: 'whsec_c2VjcmV0' };
const [oldKey, newKey] = ['o'.repeat(32), 'n'.repeat(32)];

test('gateways with the same database and storage share a key that is not in the database', () =>
  withData(async ({ database: { sql }, objects }) => {
    const gateways = Array.from({ length: 4 }, () => new WebhookSecrets({ keys: [], sql, objects }));
    const sealed = await Promise.all(gateways.map((gateway) => gateway.seal(webhook)));
    expect(JSON.stringify(sealed)).not.toContain('c2VjcmV0');
    for (const stored of sealed) {
      for (const gateway of gateways) {
        expect(await gateway.open(stored)).toEqual(webhook);
      }
    }
    expect(new Set(sealed.map((stored) => JSON.stringify(stored))).size).toBe(4);

    const fresh = () => new WebhookSecrets({ keys: [], sql, objects });
    await objects.put('keys/webhook-secrets', Buffer.from('x'.repeat(43)), { mediaType: 'text/plain' });
    const damaged = { codeName: 'DATA_LOSS', message: expect.stringContaining('is damaged: restore it from a backup') };
    await expect(fresh().seal(webhook)).rejects.toMatchObject(damaged);
    await expect(fresh().open(sealed[0]!)).rejects.toMatchObject(damaged);
  }));

test('keys are rotated without losing secrets stored with the old key or without one', () =>
  withData(async ({ database: { sql }, objects }) => {
    const of = (keys: string[]) => new WebhookSecrets({ keys, sql, objects });
    // As an earlier release made it, without a fingerprint.
    await objects.put('keys/webhook-secrets', Buffer.from('k'.repeat(43)), { mediaType: 'text/plain' });
    const before = await of([]).seal(webhook);
    const old = await of([oldKey]).seal(webhook);
    const rotated = of([newKey, oldKey]);
    expect(await rotated.open(before)).toEqual(webhook);
    expect(await rotated.open(old)).toEqual(webhook);
    expect(await rotated.open(webhook)).toEqual(webhook);
    expect(await of([newKey]).open(await rotated.seal(webhook))).toEqual(webhook);
    await expect(of([newKey]).open(old)).rejects.toMatchObject({
      codeName: 'FAILED_PRECONDITION',
      message: expect.stringContaining('FUSIONFRAMES_WEBHOOK_KEYS'),
    });
    await expect(rotated.open({ ...old, url: 'https://elsewhere.test/' })).rejects.toThrow();
  }));

test('a key is at least 32 characters', () => {
  expect(parseKeys('')).toEqual([]);
  expect(parseKeys(`${newKey}, ${oldKey}\n`)).toEqual([newKey, oldKey]);
  expect(parseKeys(`${newKey},short`)).toBeUndefined();
});
