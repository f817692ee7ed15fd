import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const own = 'ai-forever/KandinskyVideo';
export const encoder = 'google/flan-ul2';
export const keyframes = 'weights/kandinsky_video.pt';

/** Repositories of the hub by name, their files by path: those of a folder that `writePublishedFiles` wrote, and others. */
export async function publishedRepositories(folder: string): Promise<Map<string, Map<string, Buffer>>> {
  const read = (...names: string[]) => readFile(join(folder, ...names));
  const encoderFiles = await readdir(join(folder, 'flan-ul2'));
  const shards = encoderFiles.map(async (name) => [name, await read('flan-ul2', name)] as const);
  return new Map([
    [
      own,
      new Map([
        ['README.md', Buffer.from('read me')],
        ['weights/other.pt', Buffer.from('not asked for')],
        [keyframes, await read('kandinsky_video.pt')],
        ['weights/kandinsky_video_interpolation.pt', await read('kandinsky_video_interpolation.pt')],
        ['weights/movq.pt', await read('movq.pt')],
      ]),
    ],
    [
      encoder,
      new Map([
        ...(await Promise.all(shards)),
        ['tokenizer.json', await read('tokenizer.json')],
        ['pytorch_model-00003-of-00003.bin', Buffer.from('the decoder, which is not needed')],
      ]),
    ],
  ]);
}
