import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { connectGrpc } from '../gateway/client/grpc-client.ts';
import { connectHttp } from '../gateway/client/http-client.ts';
import { stopTestServer } from '../gateway/testing/data.ts';
import { withGateway } from '../gateway/testing/gateway.ts';
import { pictured, plainPicture, textOnly } from '../gateway/testing/pictured.ts';
import { withTemporaryFolder } from '../services/kit/testing/temporary-folder.ts';
import { callCli } from '../test/support/cli.ts';
import { newVideoFields, toNewVideo } from './mcp/new-video-fields.ts';

afterAll(stopTestServer);

test('generate, retry, a prompts file and both clients begin a video with a picture; faults name --image', () => {
  const seen: number[] = [];
  const hooks = { picture: ({ data }: { data: Uint8Array }) => void seen.push(data[2]!) };
  const options = { presets: [pictured, textOnly] as const, httpAddress: '127.0.0.1:0', hooks };
  return withGateway(
    async ({ server, client }) =>
      withTemporaryFolder(async (folder) => {
        const image = join(folder, 'cat.png');
        await writeFile(image, await plainPicture('#0000c8'));
        const address = ['--address', server.address];
        const few = ['--steps', '2', '--interpolation-steps', '2', '--fps', 'low'];
        const generate = (...args: string[]) =>
          callCli(['generate', 'a cat', '--output', join(folder, 'cat.mp4'), ...few, ...address, ...args]);

        const made = await generate('--image', image, '--json');
        expect(made).toMatchObject({ code: 0, stderr: expect.stringMatching(/warning: The picture was cropped/) });
        const { id } = JSON.parse(made.stdout);
        expect(await generate('--image', id)).toMatchObject({ code: 0 });
        const retried = await callCli(['jobs', 'retry', id, '--json', ...address]);
        expect(JSON.parse(retried.stdout).files).toMatchObject([{ file: 'input_reference' }]);

        const prompts = join(folder, 'prompts.jsonl');
        await writeFile(
          prompts,
          '{"prompt": "a cat", "image": "cat.png", "name": "one"}\n{"prompt": "a dog", "name": "two"}',
        );
        const output = ['--output', join(folder, 'made')];
        const batch = () => callCli(['generate', '--prompts', prompts, ...output, ...few, ...address]);
        expect(await batch()).toMatchObject({ code: 0, stdout: expect.stringContaining('2 videos made') });
        await writeFile(image, await plainPicture('#0000c9'));
        expect(await batch()).toMatchObject({ stdout: expect.stringContaining('1 videos made, 1 already present') });
        expect(await readdir(join(folder, 'made'))).toContain('one.mp4');
        const { videos } = await client.listVideos({ pageSize: 100 });
        await Promise.all(videos.map((video) => client.cancelVideo({ id: video.id }).catch(() => {})));

        const clients = [
          connectGrpc({ address: server.address }),
          connectHttp({ baseUrl: `http://${server.httpAddress}` }),
        ];
        for (const each of clients) {
          const base = { prompt: 'a cat', frameRate: 'low', keyframes: { steps: 2 } } as const;
          const first = await each.create({ ...base, inputReference: await plainPicture('#0000ca') });
          for await (const _ of each.watch(first.id)) {
            // To its end.
          }
          const frame = await each.create({ ...base, inputReference: { videoId: first.id, frame: 3 } });
          expect(frame.files).toMatchObject([{ file: 'input_reference', mediaType: 'image/png' }]);
          await each.cancel(frame.id).catch(() => {});
          each.close();
        }
        expect(new Set(seen)).toEqual(expect.objectContaining(new Set([200, 201, 202])));

        await writeFile(join(folder, 'text.png'), 'no picture');
        const wrong = [
          [[join(folder, 'text.png')], /`--image` must be a PNG, JPEG, WebP or AVIF picture/],
          [[join(folder, 'none.png')], /`--image` must be a picture that can be read/],
          [[image, '--model', 'text-only'], /`--image` must be absent: text-only makes videos from text only/],
          [[`${id}:15`], /`--image` must be a whole number from 0 to 14/],
        ] as const;
        for (const [args, message] of wrong) {
          expect(await generate('--image', ...args)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
        }
        const here = await callCli([
          'generate',
          'a cat',
          '--image',
          image,
          '--preset',
          'kandinsky-video-1.0',
          '--output',
          join(folder, 'x.mp4'),
        ]);
        expect(here).toMatchObject({
          code: 2,
          stderr: expect.stringMatching(/`--image` must be absent: kandinsky-video-1.0 makes/),
        });
      }),
    options,
  );
});

test('an assistant names files below the folder, a video or data URLs', () =>
  withTemporaryFolder(async (folder) => {
    const file = await plainPicture('#f00');
    await writeFile(join(folder, 'cat.png'), file);
    await symlink('/etc/hostname', join(folder, 'link.png'));
    const read = async (input_reference: unknown, below: string | undefined = folder) =>
      (await toNewVideo(newVideoFields.parse({ prompt: 'a cat', input_reference }), below)).inputReference;
    expect(Buffer.from((await read({ path: 'cat.png' })) as Uint8Array).equals(file)).toBe(true);
    expect(await read({ video_id: 'video_1', frame: 3 })).toEqual({ videoId: 'video_1', frame: 3 });
    expect(await read(`data:image/png;base64,${file.toString('base64')}`)).toEqual(file);
    await expect(read({ path: '../cat.png' })).rejects.toThrow('must be a file below');
    await expect(read({ path: 'link.png' })).rejects.toThrow('must be a file below');
    await expect(read({ path: 'none.png' })).rejects.toThrow('must be a file that can be read');
    await expect(
      toNewVideo(newVideoFields.parse({ prompt: 'a', input_reference: { path: 'cat.png' } }), undefined),
    ).rejects.toThrow('started without --folder');

    await mkdir(join(folder, 'walk'));
    await Promise.all(['1.png', '2.png'].map((name) => writeFile(join(folder, 'walk', name), file)));
    const keyframes = async (given: unknown) =>
      (await toNewVideo(newVideoFields.parse({ prompt: 'a cat', keyframes: given }), folder)).givenKeyframes;
    const url = `data:image/png;base64,${file.toString('base64')}`;
    const pair = [file, file].map((each) => expect.objectContaining({ length: each.length }));
    expect(await keyframes({ path: 'walk' })).toEqual(pair);
    expect(await keyframes([url, url])).toEqual(pair);
    expect(await keyframes({ path: 'walk/1.png' })).toHaveLength(1);
    expect(await keyframes({ video_id: 'video_1' })).toEqual({ videoId: 'video_1' });
    await expect(keyframes([url, 'https://example.org/2.png'])).rejects.toThrow('`keyframes` must be data URLs');
    await symlink('/etc/hostname', join(folder, 'walk', '3.png'));
    await expect(keyframes({ path: 'walk' })).rejects.toThrow('`keyframes` must be a file below');
    await expect(keyframes({ path: '.' })).rejects.toThrow('`keyframes` must be a file below');
    const lora = [{ name: 'ink', scale: 0.5 }, { name: 'soft' }];
    expect(await toNewVideo(newVideoFields.parse({ prompt: 'a cat', lora }), folder)).toMatchObject({ lora });
  }));
