import { readdir } from 'node:fs/promises';
import { afterAll, expect, test } from '@jest/globals';
import { openClient } from '../gateway/database/open-client.ts';
import { ApiKeys } from '../gateway/keys/api-keys.ts';
import { gatewaySettings } from '../gateway/settings.ts';
import { stopTestServer, withData } from '../gateway/testing/data.ts';
import { createLogger } from '../services/kit/log.ts';
import { Scope } from '../services/kit/scope.ts';
import { readSettings } from '../services/kit/settings.ts';
import { withTemporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { openGatewayParts } from './gateway-parts.ts';

afterAll(stopTestServer);

test('a new gateway without a key does not listen for other machines, and leaves no database behind', () =>
  withTemporaryFolder(async (folder) => {
    const settings = readSettings(gatewaySettings, {
      FUSIONFRAMES_DATA_FOLDER: folder,
      FUSIONFRAMES_HTTP_ADDRESS: '0.0.0.0:8080',
    });
    const scope = new Scope();
    const opened = openGatewayParts(settings, createLogger('test', 'silent'), scope);
    await expect(opened).rejects.toMatchObject({ reason: 'NO_API_KEYS', field: 'FUSIONFRAMES_HTTP_ADDRESS' });
    await scope.close();
    expect(await readdir(folder)).toEqual([]);
  }));

test('nor does it change a database elsewhere that has no keys', () =>
  withData(async ({ database: { sql, url }, storage }) => {
    const open = async (more: Record<string, string>, address?: string) => {
      const settings = { ...readSettings(gatewaySettings, { FUSIONFRAMES_STORAGE: storage, ...more }), address };
      const scope = new Scope();
      try {
        const { data } = await openGatewayParts(settings, createLogger('test', 'silent'), scope);
        await data;
      } finally {
        await scope.close();
      }
    };
    const empty = new URL(url);
    empty.pathname += '_empty';
    await sql.unsafe(`create database ${empty.pathname.slice(1)} template template0`);
    try {
      const http = open({ DATABASE_URL: empty.href, FUSIONFRAMES_HTTP_ADDRESS: '0.0.0.0:8080' });
      await expect(http).rejects.toMatchObject({ reason: 'NO_API_KEYS', field: 'FUSIONFRAMES_HTTP_ADDRESS' });
      await expect(open({ DATABASE_URL: empty.href }, '0.0.0.0:50050')).rejects.toMatchObject({ field: 'address' });
      const client = openClient(empty, { connections: 1, log: createLogger('test', 'silent') });
      expect(await client.sql`select to_regclass('schema_migrations') as found`).toEqual([{ found: null }]);
      await client.close();
    } finally {
      await sql.unsafe(`drop database ${empty.pathname.slice(1)} with (force)`);
    }

    // One with a schema.
    const reachable = { DATABASE_URL: url, FUSIONFRAMES_HTTP_ADDRESS: '0.0.0.0:8080' };
    await expect(open(reachable)).rejects.toMatchObject({ reason: 'NO_API_KEYS' });
    const limits = { concurrentJobs: 0, queuedJobs: 0, requestsPerMinute: 0 };
    await new ApiKeys(sql).create({ name: 'one', scopes: ['admin'], limits });
    await open(reachable);
  }));
