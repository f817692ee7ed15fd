import { readdir } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { gatewaySettings } from '../gateway/settings.ts';
import { createLogger } from '../services/kit/log.ts';
import { Scope } from '../services/kit/scope.ts';
import { readSettings } from '../services/kit/settings.ts';
import { withTemporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { openGatewayParts } from './gateway-parts.ts';

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
