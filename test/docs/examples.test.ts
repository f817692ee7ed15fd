import { execFile, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withHttp } from '../../gateway/testing/http.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';

afterAll(stopTestServer);

const run = promisify(execFile);
const inRoot = (...path: string[]) => join(packageRoot, ...path);
const examples: Record<string, [program: string, ...args: string[]]> = {
  'curl.sh': ['/bin/sh', inRoot('examples', 'curl.sh')],
  'openai-client.ts': [process.execPath, inRoot('dist', 'examples', 'openai-client.js')],
  'fusionframes-client.ts': [process.execPath, inRoot('dist', 'examples', 'fusionframes-client.js')],
};
if (spawnSync('python3', ['-c', 'import requests']).status === 0) {
  examples['requests_client.py'] = ['python3', inRoot('examples', 'requests_client.py')];
}

test(`${Object.keys(examples).join(', ')}: the same video each, and the reason for a rejected request`, () =>
  withHttp((http) =>
    withTemporaryFolder(async (folder) => {
      const environment = {
        ...process.env,
        NODE_OPTIONS: '',
        FUSIONFRAMES_URL: http.base,
        FUSIONFRAMES_ADDRESS: http.server.address,
      };
      const runs = Object.entries(examples).map(async ([name, [program, ...args]]) => {
        const file = join(folder, `${name}.mp4`);
        await run(program, [...args, 'a red circle', file], { env: environment });
        const failure = await run(program, [...args, 'x'.repeat(10_001)], { env: environment }).catch((error) => error);
        expect(failure.code).toBeGreaterThan(0);
        expect(`${failure.stdout}${failure.stderr}`).toContain('`prompt` must be');
        return readFile(file);
      });
      const [first, ...others] = await Promise.all(runs);
      expect(first!.toString('latin1', 4, 8)).toBe('ftyp');
      expect(others.map((each) => each.equals(first!))).toEqual(others.map(() => true));
    }),
  ));
