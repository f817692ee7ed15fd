import { readFileSync } from 'node:fs';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { FusionError, invalidField } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { listPresets, loadPreset, type Preset, presetPath } from '../../services/pipeline/preset.ts';
import { shapeDistances } from './shapes.ts';

const level = z.int().min(0).max(255);
const palette = z.record(z.string(), z.tuple([level, level, level]));
/** A fraction of the canvas width. */
const part = z.number().min(0).max(1);

const motion = z.strictObject({
  /** Its name in a prompt. */
  words: z.string(),
  /** The motion in reverse; absent if no word describes it. */
  reversed: z.string().optional(),
  /** Direction, right and down, per unit of the speed's distance. */
  direction: z.tuple([z.number(), z.number()]).default([0, 0]),
  /** Radius in the first and last frame, as factors of the size's. */
  growth: z.tuple([z.number().positive(), z.number().positive()]).default([1, 1]),
  /** Full clockwise turns about its own centre. */
  turns: z.number().default(0),
  /** Height of its hops from the floor. */
  bounce: z.strictObject({ hops: z.int().positive(), height: part }).optional(),
  /** Radius of one full circle around the canvas's centre. */
  orbit: part.optional(),
});

const worldSchema = z.strictObject({
  colours: palette,
  backgrounds: palette,
  /** Euclidean distance of 8-bit colours below which a thing is hard to tell from its background. */
  minContrast: z.number().positive(),
  /** Radius by size. */
  sizes: z.record(z.string(), part),
  shapes: z.array(z.enum(Object.keys(shapeDistances))).min(1),
  /** Shapes that look the same at every angle and are therefore never described as spinning. */
  roundShapes: z.array(z.string()),
  motions: z.record(z.string(), motion),
  /** How far across the canvas things move, by the word for it; the empty word stands for the plain speed. */
  speeds: z.record(z.string(), part),
  /** Positions of things across their direction of motion; one listed twice is drawn twice as often. */
  places: z.array(part).min(1),
  pairs: z.strictObject({
    /** Fraction of scenes with two things. */
    share: part,
    /** Factor applied to the radius when there are two things. */
    scale: z.number().positive(),
    /** Centres of the lanes (rows or columns) of two things, and positions along a lane where a thing may stand still. */
    lanes: z.tuple([part, part]),
    stops: z.tuple([part, part]),
  }),
  /** Percentage of combinations of colour, shape, motion (in either direction) and background held out of training. */
  heldOutOf100: z.int().min(0).max(100),
});

/** The world a preset was trained on, as written by `training/world_cases.py`; lengths in canvas widths from the top left. */
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

/** What a clip shows: one or two things. */
export interface Scene {
  background: string;
  things: readonly Thing[];
}

/**
 * Reads the world that a preset was trained on. Throws INVALID_ARGUMENT for a preset without one and
 * FAILED_PRECONDITION, naming each fault, for an invalid file.
 */
export function loadWorld(preset: Preset): World {
  if (preset.world === undefined) {
    const offered = listPresets().filter((name) => loadPreset(name).world !== undefined);
    throw invalidField('preset', preset.name, `a preset trained on drawn scenes: ${offered.join(', ')}`);
  }
  const file = presetPath(preset, preset.world);
  try {
    return parseSchema(worldSchema, parseJson(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new FusionError(Status.FAILED_PRECONDITION, `world: ${file} does not describe a world: ${reasonOf(error)}`, {
      reason: 'INVALID_WORLD',
      field: 'world',
      cause: error,
    });
  }
}
