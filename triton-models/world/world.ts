import { readFileSync } from 'node:fs';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { listPresets, loadPreset, type Preset, presetPath } from '../../services/pipeline/preset.ts';
import { shapeDistances } from './shapes.ts';

const level = z.int().min(0).max(255);
const palette = z.record(z.string(), z.tuple([level, level, level]));
/** A part of the canvas' width. */
const part = z.number().min(0).max(1);

const motion = z.strictObject({
  /** What it is called in a prompt. */
  words: z.string(),
  /** The motion when played backwards; absent where no word describes it. */
  reversed: z.string().optional(),
  /** Where it goes, right and down, for every unit of the speed's distance. */
  direction: z.tuple([z.number(), z.number()]).default([0, 0]),
  /** Radius at the first and the last frame, for every unit of the size's. */
  growth: z.tuple([z.number().positive(), z.number().positive()]).default([1, 1]),
  /** Full turns around itself, clockwise. */
  turns: z.number().default(0),
  /** Hops of this height from the floor. */
  bounce: z.strictObject({ hops: z.int().positive(), height: part }).optional(),
  /** Radius of one full circle around the canvas' middle. */
  orbit: part.optional(),
});

const worldSchema = z.strictObject({
  colours: palette,
  backgrounds: palette,
  /** Euclidean distance of 8-bit colours below which a thing is hard to distinguish from its background. */
  minContrast: z.number().positive(),
  /** Radius by size. */
  sizes: z.record(z.string(), part),
  shapes: z.array(z.enum(Object.keys(shapeDistances))).min(1),
  /** Shapes that look the same however they are turned, which are never said to spin. */
  roundShapes: z.array(z.string()),
  motions: z.record(z.string(), motion),
  /** How much of the way across the canvas things go, by the word for it, which is empty for the plain one. */
  speeds: z.record(z.string(), part),
  /** Where things may be across their way; one that is named twice is taken twice as often. */
  places: z.array(part).min(1),
  pairs: z.strictObject({
    /** Part of the scenes that have two things. */
    share: part,
    /** Of two things the radius is so much of one's alone. */
    scale: z.number().positive(),
    /** The middles of the lanes of two things, rows or columns, and where along one a thing may stand. */
    lanes: z.tuple([part, part]),
    stops: z.tuple([part, part]),
  }),
  /** Combinations of colour, shape, motion (either way in time) and background that training never sees, of a hundred. */
  heldOutOf100: z.int().min(0).max(100),
});

/** What a preset was trained on, as `training/world_cases.py` writes it down; lengths in canvas widths from the top left. */
export type World = z.infer<typeof worldSchema>;

/** A way to move. */
export type Motion = World['motions'][string];

export interface Thing {
  size: string;
  colour: string;
  shape: string;
  motion: string;
  speed: string;
}

/** What a clip shows: one thing or two. */
export interface Scene {
  background: string;
  things: readonly Thing[];
}

/**
 * The world that a preset was trained on. Throws INVALID_ARGUMENT for a preset that has none and FAILED_PRECONDITION,
 * naming each fault, for a file that describes none.
 */
export function loadWorld(preset: Preset): World {
  if (preset.world === undefined) {
    const offered = listPresets().filter((name) => loadPreset(name).world !== undefined);
    throw invalidField('preset', preset.name, `a preset trained on drawn scenes: ${offered.join(', ')}`);
  }
  const file = presetPath(preset, preset.world);
  try {
    return parseSchema(worldSchema, JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new FusionError(
      Status.FAILED_PRECONDITION,
      `world: ${file} describes no world: ${(error as Error).message}`,
      {
        reason: 'INVALID_WORLD',
        field: 'world',
        cause: error,
      },
    );
  }
}
