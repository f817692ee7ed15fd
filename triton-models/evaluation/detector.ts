import type { Rgb } from '../world/render.ts';
import type { World } from '../world/world.ts';
import { MedianColour, nearestColour } from './colours.ts';
import type { Film } from './film.ts';
import { findMotion } from './find-motion.ts';
import { findShape } from './find-shape.ts';
import { type MotionTemplate, median, motionTemplates } from './motion-templates.ts';
import { insideColour, type Outline, outlineOf } from './outline.ts';
import { type OutlineQuality, outlineQuality } from './outline-quality.ts';
import { findRegions } from './regions.ts';
import { measureShape, type ShapeFacts } from './shape-facts.ts';
import { countThings, followThings, type Sighting } from './tracks.ts';

/** What was seen of a thing; the motion is undefined if it resembles none of the world's. */
export interface SeenThing {
  size: string;
  colour: string;
  shape: string;
  motion: string | undefined;
  /** Its centre in the first frame that shows it, in canvas widths from the top left. */
  place: { x: number; y: number };
  /** Undefined if no two consecutive frames show the thing. */
  outline: OutlineQuality | undefined;
}

/** What a film shows. */
export interface SeenScene {
  background: string;
  /** Number of things in the middle frame. */
  count: number;
  /** At most three, largest first. */
  things: SeenThing[];
}

interface SeenOutlines {
  colour: Rgb;
  outlines: Outline[];
}

/** Minimum area of a region that counts as a thing, as a fraction of the world's smallest thing. */
const minPart = 0.4;

/**
 * Recognises what a film of a world's scene shows, without any network. The background is the median of the frames'
 * rims; things are connected regions that differ from it, tracked through the frames. Colour is the nearest of the
 * palette, shape the drawing with the best overlap, size and motion the nearest of the world's own.
 */
export class Detector {
  readonly #world: World;
  readonly #shapes: ShapeFacts[];
  readonly #templates = new Map<string, MotionTemplate[]>();

  constructor(world: World) {
    this.#world = world;
    this.#shapes = world.shapes.map(measureShape);
  }

  detect(film: Film): SeenScene {
    const background = findBackground(film);
    const minArea = minPart * this.#minArea(film);
    const regions = film.frames.map((frame) =>
      findRegions(frame, film.size, background, this.#world.minContrast / 2, minArea * film.size ** 2),
    );
    const count = countThings(regions);
    return {
      background: nearestColour(background, this.#world.backgrounds),
      count,
      things: followThings(regions, count)
        .map((track) => this.#outlines(track, film, background, minArea))
        .filter(({ outlines }) => outlines.length > 0)
        .map((seen) => this.#describe(seen, film, count)),
    };
  }

  #outlines(track: readonly Sighting[], film: Film, background: Rgb, minArea: number): SeenOutlines {
    const colour = insideColour(track, film, background);
    const outlines = track.map((sighting) => outlineOf(sighting, film, background, colour));
    // In frames where the thing has another colour, almost nothing matches this one.
    return { colour, outlines: outlines.filter(({ area }) => area >= minArea) };
  }

  #describe({ colour, outlines }: SeenOutlines, film: Film, count: number): SeenThing {
    const templates = this.#templatesOf(count, film.frames.length);
    const turned = findShape(outlines, film.size, this.#shapes, 'turned');
    const motion = findMotion(outlines, film.size, turned, templates);
    const shape = motion.turns ? turned : findShape(outlines, film.size, this.#shapes, 'upright');
    const radius = Math.sqrt(median(outlines.map(({ area }) => area)) / shape.area);
    return {
      size: nearestSize(radius, motion.name, templates),
      colour: nearestColour(colour, this.#world.colours),
      shape: shape.name,
      motion: motion.name,
      place: { x: outlines[0]!.x, y: outlines[0]!.y },
      outline: outlineQuality(outlines, film.size),
    };
  }

  /** Fraction of the canvas that the world's smallest thing covers at its smallest. */
  #minArea({ frames }: Film): number {
    const radii = this.#templatesOf(2, frames.length).map(
      ({ radius, growth }) => radius * Math.exp(Math.min(...growth) - median(growth)),
    );
    return Math.min(...this.#shapes.map(({ area }) => area)) * Math.min(...radii) ** 2;
  }

  #templatesOf(count: number, frames: number): MotionTemplate[] {
    const things = Math.min(2, Math.max(1, count));
    const key = `${things} ${frames}`;
    const templates = this.#templates.get(key) ?? motionTemplates(this.#world, things, frames);
    this.#templates.set(key, templates);
    return templates;
  }
}

/** The median colour of the frames' rims. */
function findBackground({ size, frames }: Film): Rgb {
  const median = new MedianColour();
  for (const frame of frames) {
    for (let i = 0; i < size; i++) {
      for (const pixel of [i, (size - 1) * size + i, i * size, i * size + size - 1]) {
        median.add(frame, pixel);
      }
    }
  }
  return median.value();
}

/** The size with the nearest radius (by ratio) among things with this motion. */
function nearestSize(radius: number, motion: string | undefined, templates: readonly MotionTemplate[]): string {
  const alike = templates.filter((template) => motion === undefined || template.motion === motion);
  const distances = alike.map((template) => Math.abs(Math.log(radius / template.radius)));
  return alike[distances.indexOf(Math.min(...distances))]!.size;
}
