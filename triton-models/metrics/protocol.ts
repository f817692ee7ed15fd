import { z } from 'zod';
import { i3dSide } from '../../services/pipeline/networks/i3d.ts';

/** How two sets of videos are compared: every choice that changes the figures. */
export const protocolSchema = z.strictObject({
  /** Videos of each set. */
  videos: z.int().min(2),
  /** Frames that the network sees of each. */
  frames: z.int().min(1),
  /** Of the video's frames, from one to the next. */
  stride: z.int().min(1),
  /** Where the frames of a real video start; those of a generated one always start at its beginning. */
  start: z.enum(['random', 'beginning']),
  /** Side of the square that the centre of every video is first scaled to, pixels; null: videos stay as they are. */
  resolution: z.int().min(8).nullable(),
  /**
   * How frames become squares for the network: squeezed whole, or scaled by the shorter side and cropped to the centre.
   */
  crop: z.enum(['none', 'centre']),
  /** What the Fréchet distance is computed on. */
  features: z.enum(['logits', 'features']),
  /** Parts that the Inception Score is averaged over. */
  splits: z.int().min(1),
});

export type Protocol = z.infer<typeof protocolSchema>;

/** How frames are scaled to the network's size. */
export const resizing = `bilinear to ${i3dSide}x${i3dSide}, without antialiasing`;

/** Protocols of publications. */
export const protocols = {
  /** `fvd2048_16f` and `isv2048_ucf` of StyleGAN-V. */
  'stylegan-v': {
    videos: 2048,
    frames: 16,
    stride: 1,
    start: 'random',
    resolution: null,
    crop: 'none',
    features: 'logits',
    splits: 10,
  },
  /** `compute_fvd.py` of VideoGPT. */
  videogpt: {
    videos: 256,
    frames: 16,
    stride: 1,
    start: 'beginning',
    resolution: null,
    crop: 'centre',
    features: 'logits',
    splits: 10,
  },
} as const satisfies Record<string, Protocol>;

export type ProtocolName = keyof typeof protocols;
export const protocolNames = Object.keys(protocols) as [ProtocolName, ...ProtocolName[]];
