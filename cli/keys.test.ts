import { afterAll, expect, test } from '@jest/globals';
import { ApiKeys } from '../gateway/keys/api-keys.ts';
import { readActions } from '../gateway/operator/actions.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { stopTestServer, withData } from '../gateway/testing/data.ts';
import { callCli } from '../test/support/cli.ts';

afterAll(stopTestServer);

test('keys are created, listed and revoked in the configured database', async () => {
  await withData(async ({ database: { sql, url } }) => {
    const keys = (...args: string[]) => callCli(['keys', ...args], { DATABASE_URL: url });

    const made = await keys('create', 'build server', '--scopes', 'read, create', '--requests-per-minute', '60');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ff_[0-9a-f]{12}_[\w-]{43}\n$/) });
    const authorization = `Bearer ${made.stdout.trim()}`;
    const { keyId } = await new ApiKeys(sql).authenticate(authorization);

    const other = await keys('create', '\u001b[31mred', '--json');
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('`name` must be') });
    const admin = JSON.parse((await keys('create', 'admin', '--scopes', 'admin', '--share', '20', '--json')).stdout);
    expect(admin).toMatchObject({
      name: 'admin',
      scopes: ['admin'],
      limits: { concurrentJobs: 4, queuedJobs: 100, requestsPerMinute: 600, maxSteps: 100, maxPriority: 0 },
      share: 20,
    });

    const updated = await keys('update', admin.id, '--budget', '100-videos/day, 9-seconds/month', '--max-steps', '0');
    expect(updated.stdout).toMatch(/ 100-videos\/day,9-seconds\/month /);
    const again = JSON.parse((await keys('update', admin.id, '--name', 'boss', '--json')).stdout);
    expect(again).toEqual({
      ...admin,
      key: undefined,
      name: 'boss',
      limits: { ...admin.limits, maxSteps: undefined },
      budgets: ['100-videos/day', '9-seconds/month'],
    });
    expect(await keys('update', '0'.repeat(12), '--share', '2')).toMatchObject({ code: 1 });

    const listed = await keys('list');
    const [headings, first, second] = listed.stdout.split('\n');
    expect(headings).toMatch(
      /^id +name +scopes +running +queued +requests\/min +steps +frames +priority +share +budget +created +last used +revoked$/,
    );
    expect(first).toMatch(
      new RegExp(
        `^${keyId} +build server +read,create +4 +100 +60 +100 +- +0 +1 +- +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d`,
      ),
    );
    expect(second).toMatch(new RegExp(`^${admin.id} +boss +admin `));
    expect(listed.stdout).not.toContain(made.stdout.trim().slice(16));

    expect(await keys('revoke', keyId)).toMatchObject({
      code: 0,
      stdout: `key ${keyId} for build server is revoked\n`,
    });
    await expect(new ApiKeys(sql).authenticate(authorization)).rejects.toThrow('This API key was revoked');
    expect(await keys('revoke', keyId)).toMatchObject({ code: 0 });
    expect(await readActions(sql, 10, undefined)).toMatchObject([
      { name: 'key.revoke', target: keyId, details: { keepJobs: false }, keyId: '' },
      { name: 'key.update', target: admin.id, details: { name: 'boss' }, keyId: '' },
      { name: 'key.update', target: admin.id, details: { maxSteps: 0 }, keyId: '' },
      { name: 'key.create', target: admin.id, details: { name: 'admin', share: 20 }, keyId: '' },
      { name: 'key.create', target: keyId, details: { name: 'build server' }, keyId: '' },
    ]);
    const [revoked] = JSON.parse((await keys('list', '--json')).stdout);
    expect(revoked).toMatchObject({ id: keyId, revokedAt: expect.stringMatching(/Z$/) });
    expect(await keys('revoke', 'nonsense')).toMatchObject({ code: 1, stderr: expect.stringContaining('NOT_FOUND') });
  });
});

test('a generated key is accepted by a gateway as its first', async () => {
  const { code, stdout } = await callCli(['keys', 'generate'], { DATABASE_URL: '', FUSIONFRAMES_DATA_FOLDER: '' });
  expect(code).toBe(0);
  expect(gatewaySettings.firstKey.schema.safeParse(stdout.trim()).success).toBe(true);
  expect(gatewaySettings.firstKey.schema.safeParse('secret').success).toBe(false);
});

test.each([
  [['create'], {}, '`name` is required'],
  [['create', 'x'], {}, 'DATABASE_URL or FUSIONFRAMES_DATA_FOLDER'],
  [
    ['create', 'x', '--scopes', 'write'],
    { DATABASE_URL: 'postgres://x@127.0.0.1/x' },
    '`--scopes` must be one or more of read, create, admin (got "write")',
  ],
  [['create', 'x', '--queued-jobs', '-1'], {}, '`--queued-jobs` must be a whole number from 0 to 1000000 (got "-1")'],
  [['create', 'x', '--queued-jobs', '1e9'], {}, '(got "1e9")'],
  [['create', 'x', '--share', '0'], {}, '`--share` must be a whole number from 1 to 1000 (got "0")'],
  [['create', 'x', '--budget', '5-videos'], {}, '`--budget` must be budgets such as 100-videos/day'],
  [['create', 'x', '--budget', '1-videos/day,2-videos/day'], {}, 'one of each kind (got "1-videos/day,2-videos/day")'],
  [['update', 'x'], {}, 'name at least one option to change'],
  [['list'], { DATABASE_URL: 'mysql://user:hidden@127.0.0.1/x' }, '`DATABASE_URL` must be of the form'],
  [['list'], { FUSIONFRAMES_DATA_FOLDER: '/proc/nowhere' }, 'FUSIONFRAMES_DATA_FOLDER'],
] as const)('keys %j with %j is refused', async (args, environment, message) => {
  const result = await callCli(['keys', ...args], { DATABASE_URL: '', FUSIONFRAMES_DATA_FOLDER: '', ...environment });
  expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
  expect(result.stderr).not.toContain('hidden');
  expect(result.stderr.trim().split('\n').length).toBeLessThanOrEqual(3);
});
