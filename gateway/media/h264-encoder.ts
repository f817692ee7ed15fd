import { VideoEncoder, VideoFrame } from '@napi-rs/webcodecs';
import { EncodedPacket } from 'mediabunny';
import { type Deferred, deferred } from '../../services/kit/deferred.ts';
import type { FrameFormat } from './frame-sink.ts';

/** H.264 High up to level 5.1; the encoder signals the lowest level that fits the stream. */
const codec = 'avc1.640033';

/** The colour space players assume for H.264; frames tagged otherwise change colour. */
const colorSpace = { primaries: 'bt709', transfer: 'bt709', matrix: 'smpte170m', fullRange: false } as const;

/** Frames in the encoder at a time. */
const maxFramesInFlight = 4;

/** One encoded picture; the first one carries the decoder configuration. */
export interface EncodedPicture {
  packet: EncodedPacket;
  metadata: { decoderConfig?: unknown } | undefined;
}

type Callbacks = ConstructorParameters<typeof VideoEncoder>[0];

/** Encodes RGB frames as H.264 (4:2:0) and hands each encoded picture to `emit`, in order. */
export class H264Encoder {
  readonly #format: FrameFormat;
  readonly #encoder: VideoEncoder;
  readonly #callbacks: { current: Callbacks | undefined };
  /** Only ever rejects; every wait races it, so that an error or a close ends them all. */
  readonly #failed: Deferred<never> = deferred<never>();
  #emitted: Promise<void> = Promise.resolve();
  #index = 0;

  constructor(format: FrameFormat, emit: (picture: EncodedPicture) => Promise<void>) {
    const { width, height, playbackRate } = format;
    this.#format = format;
    this.#failed.promise.catch(() => {});
    this.#callbacks = {
      current: {
        output: (chunk, metadata) => {
          const data = new Uint8Array(chunk.byteLength);
          chunk.copyTo(data);
          const packet = new EncodedPacket(data, chunk.type, chunk.timestamp / 1e6, 1 / playbackRate);
          this.#emitted = this.#emitted.then(() => emit({ packet, metadata }));
          this.#emitted.catch((error) => this.#failed.reject(error));
        },
        error: (error) => this.#failed.reject(error),
      },
    };
    this.#encoder = new VideoEncoder(through(this.#callbacks));
    this.#encoder.configure({
      codec,
      width,
      height,
      framerate: playbackRate,
      bitrate: bitrateOf(format),
      latencyMode: 'quality',
      avc: { format: 'avc' },
    });
  }

  /** Takes a frame, uint8 [height, width, 3]; resolves when the next one may come. */
  async encode(rgb: Uint8Array): Promise<void> {
    const { width, height, playbackRate } = this.#format;
    const frame = new VideoFrame(toRgbx(rgb), {
      format: 'RGBX',
      codedWidth: width,
      codedHeight: height,
      timestamp: Math.round((this.#index * 1e6) / playbackRate),
      colorSpace,
    });
    // A key frame every second makes seeking cheap: a player decodes from the last one.
    this.#encoder.encode(frame, { keyFrame: this.#index % Math.ceil(playbackRate) === 0 });
    frame.close();
    this.#index++;
    while (this.#encoder.encodeQueueSize >= maxFramesInFlight) {
      await this.#orFailure(this.#dequeued());
    }
    await this.#orFailure(this.#emitted);
  }

  /** Resolves when every picture has been emitted. */
  async finish(): Promise<void> {
    await this.#orFailure(this.#encoder.flush());
    await this.#orFailure(this.#emitted);
    this.#encoder.close();
    this.#callbacks.current = undefined;
  }

  /** Frees the encoder; calls that wait for it fail with `reason`. */
  abort(reason: Error): void {
    this.#failed.reject(reason);
    if (this.#encoder.state !== 'closed') {
      this.#encoder.close();
    }
    this.#callbacks.current = undefined;
  }

  #orFailure<T>(wait: Promise<T>): Promise<T> {
    // The encoder rejects an interrupted flush; the original failure says more.
    wait.catch(() => {});
    return Promise.race([this.#failed.promise, wait]);
  }

  #dequeued(): Promise<void> {
    const next = deferred();
    this.#encoder.addEventListener('dequeue', () => next.resolve(), { once: true });
    return next.promise;
  }
}

/**
 * Callbacks for an encoder. The native encoder holds on to them, and a callback that references the encoder would keep
 * it alive forever; so they go through `callbacks`, which is emptied when the encoder is done.
 */
function through(callbacks: { readonly current: Callbacks | undefined }): Callbacks {
  return {
    output: (chunk, metadata) => callbacks.current?.output(chunk, metadata),
    error: (error) => callbacks.current?.error(error),
  };
}

/** Bit rate: one bit per pixel, but at least what small pictures need to stay faithful; bits per second. */
function bitrateOf({ width, height, playbackRate }: FrameFormat): number {
  return Math.max(2_000_000, Math.round(width * height * playbackRate));
}

/**
 * Copies the picture with a fourth, unused byte per pixel. A closed frame keeps its copy until it is garbage collected,
 * and only an array of our own tells the collector how much memory that is.
 */
function toRgbx(rgb: Uint8Array): Uint8Array {
  const rgbx = new Uint8Array((rgb.length / 3) * 4);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    rgbx[to] = rgb[from]!;
    rgbx[to + 1] = rgb[from + 1]!;
    rgbx[to + 2] = rgb[from + 2]!;
  }
  return rgbx;
}
