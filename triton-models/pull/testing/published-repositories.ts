import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const own = 'ai-forever/KandinskyVideo';
export const encoder = 'google/flan-ul2';
export const keyframes = 'weights/kandinsky_video.pt';

/** Repositories of the hub by name, their files by path. */
type Repositories = Map<string, Map<string, Buffer>>;

/** Those of a folder that `writePublishedFiles` wrote, and other files. */
export async function publishedRepositories(folder: string): Promise<Repositories> {
  const read = (name: string) => readFile(join(folder, name));
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
    [encoder, await encoderFiles(folder)],
  ]);
}

/** Those of a folder that `writePublishedFiles11` wrote, and other files. */
export async function publishedRepositories11(folder: string): Promise<Repositories> {
  const names = ['t2v.pt', 'interpolation.pt', 't5_projections.pt', 'movq.pt', 'video_movq.pt', 'configs.json'];
  const files = names.map(async (name) => [name, await readFile(join(folder, name))] as const);
  const others = [['assets/video.gif', Buffer.from('not asked for')]] as const;
  return new Map([
    ['ai-forever/KandinskyVideo_1_1', new Map([...(await Promise.all(files)), ...others])],
    [encoder, await encoderFiles(folder)],
  ]);
}

async function encoderFiles(folder: string): Promise<Map<string, Buffer>> {
  const names = await readdir(join(folder, 'flan-ul2'));
  const files = names.map(async (name) => [name, await readFile(join(folder, 'flan-ul2', name))] as const);
  return new Map([
    ...(await Promise.all(files)),
    ['tokenizer.json', await readFile(join(folder, 'tokenizer.json'))],
    ['pytorch_model-00003-of-00003.bin', Buffer.from('the decoder, which is not needed')],
  ]);
}
