import { createHash } from 'node:crypto';
import type { Video } from '../gateway/client/video.ts';
import type { NewVideo, VideoClient } from '../gateway/client/video-client.ts';
import { packageVersion } from '../services/kit/package-root.ts';
import { type SheetRow, sampleFrames } from '../triton-models/evaluation/contact-sheet.ts';
import type { Detector } from '../triton-models/evaluation/detector.ts';
import type { Film } from '../triton-models/evaluation/film.ts';
import { fromFilmStrip, toFilmStrip } from '../triton-models/evaluation/film-strip.ts';
import { type Kept, keptInFirstFrame } from '../triton-models/evaluation/first-frame.ts';
import { judge, type Verdict } from '../triton-models/evaluation/judge.ts';
import type { KeptResults } from '../triton-models/metrics/kept-results.ts';
import { isOfRandomWeights } from '../triton-models/packaging/weights-warnings.ts';
import type { Scene } from '../triton-models/world/world.ts';
import { makeFilms } from './make-films.ts';
import { countDisplay } from './progress.ts';
import { warningsDisplay } from './run-job.ts';

/** A prompt, and the scene that it describes. */
export interface PromptOfScene {
  prompt: string;
  scene: Scene;
  /** The scene's first frame, which the video begins with, uint8 [height, width, 3]. */
  picture: Uint8Array | undefined;
  request: NewVideo;
}

/** What was seen in the videos of all prompts. */
export interface LookedAt {
  rows: SheetRow[];
  /** What the videos keep of the pictures that they begin with. */
  kept: Kept[];
  /** Of each video. */
  frames: number;
  /** Pixels of a frame's side. */
  size: number;
  /** The videos were made with random weights. */
  isRandom: boolean;
}

/** What was seen in one video, as it is kept. */
interface Looked {
  frames: number;
  /** The frames that the sheet shows. */
  strip: string;
  verdict: Verdict;
  kept?: Kept;
  isRandom: boolean;
}

/** Steps that run as one batch; more jobs would only wait. */
export const jobsAtOnce = 8;
const framesInSheet = 8;

/**
 * Makes the videos and looks at each.
 *
 * @param results of an earlier run; they are continued
 * @param maker what identifies the models that make the videos
 */
export async function lookAtVideos(
  client: VideoClient,
  prompts: readonly PromptOfScene[],
  detector: Detector,
  { results, maker }: { results: KeptResults; maker: unknown },
  signal: AbortSignal,
): Promise<LookedAt> {
  let isRandom = false;
  const showWarnings = warningsDisplay(process.stderr);
  const onUpdate = (video: Video) => {
    isRandom ||= isOfRandomWeights(video.warnings);
    showWarnings(video);
  };
  const look = async ({ scene, picture }: PromptOfScene, film: Film): Promise<Looked> => {
    const shown = sampleFrames(film.frames.length, framesInSheet).map((frame) => film.frames[frame]!);
    return {
      frames: film.frames.length,
      strip: await toFilmStrip({ size: film.size, frames: shown }),
      verdict: judge(scene, detector.detect(film)),
      ...(picture && { kept: keptInFirstFrame(detector, picture, film) }),
      isRandom,
    };
  };
  const looked: Looked[] = [];
  const display = countDisplay(process.stderr, 'videos', prompts.length);
  const requests = prompts.map(({ request }) => request);
  try {
    await makeFilms(client, requests, jobsAtOnce, signal, onUpdate, async (make, index) => {
      const prompt = prompts[index]!;
      const { value, wasKept } = await results.get(keyOf(prompt, maker), async () => look(prompt, await make()));
      looked[index] = value;
      if (wasKept) {
        display.skip();
      } else {
        display.advance();
      }
    });
  } finally {
    display.finish();
  }
  const films = await Promise.all(looked.map(({ strip }) => fromFilmStrip(strip)));
  return {
    rows: looked.map(({ verdict }, index) => ({ prompt: prompts[index]!.prompt, film: films[index]!, verdict })),
    kept: looked.flatMap(({ kept }) => kept ?? []),
    frames: looked[0]!.frames,
    size: films[0]!.size,
    isRandom: looked.some((each) => each.isRandom),
  };
}

function keyOf({ request, picture }: PromptOfScene, maker: unknown): string {
  const { inputReference: _, ...settings } = request;
  const sources = [packageVersion(), maker, settings];
  const described = JSON.stringify(sources, (_, value) => (typeof value === 'bigint' ? String(value) : value));
  return createHash('sha256')
    .update(described)
    .update(picture ?? '')
    .digest('hex');
}
