import { startMesh } from '../../cli/mesh.ts';
import { prepareMesh } from '../../cli/mesh-stages.ts';
import { connectGrpc } from '../../gateway/client/grpc-client.ts';
import type { Video } from '../../gateway/client/video.ts';
import type { FinishVideo, NewVideo, VideoClient } from '../../gateway/client/video-client.ts';
import { createLogger } from '../../services/kit/log.ts';
import { Scope } from '../../services/kit/scope.ts';
import { loadPreset, type Preset } from '../../services/pipeline/preset.ts';
import { ensureRepository } from '../../triton-models/packaging/ensure-repository.ts';

const prompt = 'a large red circle moving left on a navy background';

export interface BenchOptions {
  /** How often the compared runs are repeated, in turn. */
  rounds: number;
  /** Jobs after which memory is measured. */
  jobs: number;
  /** Python with PyTorch. */
  python: string;
}

/** A finished video and the seconds from its request to its end. */
export interface TimedVideo {
  video: Video;
  seconds: number;
}

/** What the rows share: nano in one mesh of this process, which starts when the first row needs it. */
export class Bench {
  readonly options: BenchOptions;
  readonly preset: Preset = loadPreset('nano');
  readonly #scope = new Scope();
  #client: Promise<VideoClient> | undefined;
  #seed = 1n;

  constructor(options: BenchOptions) {
    this.options = options;
  }

  /** Folder of the models, which are built if they are missing. */
  async repository(): Promise<string> {
    const { signal } = this.#scope;
    return (await ensureRepository(this.preset, { signal })).folder;
  }

  progress(text: string): void {
    process.stderr.write(`  ${text}\n`);
  }

  /** A warm mesh that works on four jobs at once. */
  client(): Promise<VideoClient> {
    return (this.#client ??= this.#start());
  }

  /** A video with a seed of its own unless one is given: the stages of a repeated request would not run. */
  async make(options: Partial<NewVideo> = {}, onUpdate: (video: Video) => void = () => {}): Promise<TimedVideo> {
    const client = await this.client();
    const started = performance.now();
    const { id } = await client.create({ prompt, seed: this.#seed++, ...options });
    return { video: await untilDone(client, id, onUpdate), seconds: (performance.now() - started) / 1000 };
  }

  /** Goes on from a video's keyframes. */
  async finish(id: string, options: FinishVideo): Promise<TimedVideo> {
    const client = await this.client();
    const started = performance.now();
    const finished = await client.finish(id, options);
    return { video: await untilDone(client, finished.id), seconds: (performance.now() - started) / 1000 };
  }

  close(): Promise<void> {
    return this.#scope.close();
  }

  async #start(): Promise<VideoClient> {
    const folder = await this.repository();
    const mesh = await this.#scope.open((signal) =>
      startMesh({
        repositories: async () => [{ folder, warnings: [] }],
        prepare: () => prepareMesh([this.preset]),
        concurrentJobs: 4,
        log: createLogger('bench', 'warn'),
        signal,
      }),
    );
    const client = this.#scope.add(connectGrpc({ address: mesh.address }));
    this.#client = Promise.resolve(client);
    await this.make();
    return client;
  }
}

/** Waits for the end of a video. Throws if there is none. */
export async function untilDone(
  client: VideoClient,
  id: string,
  onUpdate: (video: Video) => void = () => {},
): Promise<Video> {
  for await (const now of client.watch(id)) {
    onUpdate(now);
    if (now.state === 'succeeded') {
      return now;
    }
    if (now.state === 'failed' || now.state === 'cancelled') {
      throw new Error(`a video ${now.state}: ${now.failure?.message}`);
    }
  }
  throw new Error('a watch ended before its video');
}

/** What an action costs this process with its mesh. Processor time is what a busy machine disturbs least. */
export interface Cost {
  seconds: number;
  processorSeconds: number;
}

export async function costOf(action: () => Promise<unknown>): Promise<Cost> {
  const before = process.cpuUsage();
  const seconds = await secondsOf(action);
  const { user, system } = process.cpuUsage(before);
  return { seconds, processorSeconds: (user + system) / 1e6 };
}

/** Seconds that an action takes. */
export async function secondsOf(action: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await action();
  return (performance.now() - started) / 1000;
}
