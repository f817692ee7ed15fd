import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { stopTestServer } from '../testing/data.ts';
import { withGateway } from '../testing/gateway.ts';
import { connectHttp } from './index.ts';

afterAll(stopTestServer);

const lines: string[] = [];
const console = { log: (...words: string[]) => lines.push(words.join(' ')) };

test("the README's example is in this file", () => {
  const withoutSpace = (text: string) => text.replaceAll(/\s+/g, '');
  const read = (name: string) => readFileSync(join(packageRoot, 'gateway', 'client', name), 'utf8');
  const examples = [...read('README.md').matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => withoutSpace(code!));
  expect(examples).toHaveLength(1);
  expect(withoutSpace(read('readme.test.ts'))).toContain(examples[0]);
});

test("the README's example makes a video", () =>
  withGateway(
    ({ server }) =>
      withTemporaryFolder(async (folder) => {
        const baseUrl = `http://${server.httpAddress}`;
        const apiKey = '';
        const path = join(folder, 'video.mp4');
        const client = connectHttp({ baseUrl, apiKey });
        const { id } = await client.create({ prompt: 'a red circle moving left', frameRate: 'low', seed: 7n });
        for await (const { state, stages } of client.watch(id)) {
          const stage = stages.at(-1);
          console.log(state, stage ? `${stage.stage} ${stage.step}/${stage.total}` : '');
        }
        await writeFile(path, await client.download(id));
        client.close();

        expect((await readFile(path)).length).toBeGreaterThan(1000);
        expect(lines.at(-1)).toBe('succeeded decoder 15/15');
      }),
    { httpAddress: '127.0.0.1:0' },
  ));
