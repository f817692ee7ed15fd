import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, test } from '@jest/globals';
import { stopTestServer } from '../../gateway/testing/data.ts';
import { withHttp } from '../../gateway/testing/http.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { readDocument } from './documents.ts';

afterAll(stopTestServer);

const run = promisify(execFile);

function curlLines(): string[] {
  const [, block] = /^## Requests\n```sh\n(.*?)```/ms.exec(readDocument('docs/http-api.md'))!;
  return block!
    .replaceAll('\\\n', '')
    .split('\n')
    .filter((line) => line !== '');
}

test('the README shows the first of them', () => {
  expect(readDocument('README.md')).toContain(`\`\`\`sh\n${curlLines()[0]}\n\`\`\``);
});

test('the curl commands of the HTTP API work in order', () =>
  withHttp((http) =>
    withTemporaryFolder(async (folder) => {
      let id = '';
      const curl = async (line: string) => {
        const command = line.replaceAll('http://127.0.0.1:8080', http.base);
        const { stdout } = await run('/bin/sh', ['-c', command], { cwd: folder, env: { ...process.env, ID: id } });
        return stdout;
      };
      const lines = curlLines();
      expect(lines).toHaveLength(10);
      const [form, json, list, filtered, get, events, video, thumbnail, cancel, remove] = lines;

      expect(JSON.parse(await curl(form!))).toMatchObject({ status: 'queued', seed: '7' });
      const created = JSON.parse(await curl(json!));
      expect(created).toMatchObject({ status: 'queued', frame_rate: 'low', priority: 10 });
      expect(JSON.parse(await curl(json!)).id).toBe(created.id);
      id = created.id;
      expect(JSON.parse(await curl(filtered!)).data).toEqual([]);
      expect(JSON.parse(await curl(list!)).data.map((each: { id: string }) => each.id)).toContain(id);
      expect(await curl(events!)).toMatch(/^id: 1\nevent: state\n(.|\n)*"status":"completed"/m);
      expect(JSON.parse(await curl(get!))).toMatchObject({ id, status: 'completed' });
      await curl(video!);
      await curl(thumbnail!);
      const { files } = await http.ended(id);
      for (const [name, variant] of [
        ['video.mp4', 'video'],
        ['thumbnail.webp', 'thumbnail'],
      ] as const) {
        const file = files.find((each) => each.variant === variant)!;
        expect((await readFile(join(folder, name))).length).toBe(file.bytes);
      }
      expect(JSON.parse(await curl(cancel!)).error.code).toBe('wrong_state');
      expect(JSON.parse(await curl(remove!))).toEqual({ id, object: 'video.deleted', deleted: true });
    }),
  ));
