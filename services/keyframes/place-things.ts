import { drawThing } from './draw-thing.ts';
import { colour, type Found, findThing, middleColour, type Size } from './find-thing.ts';
import { intoLane, type Lanes } from './lanes.ts';

const { max, min, round } = Math;

/** Pictures of the same size, bytes [height, width, 3] each. */
interface Pictures extends Size {
  pictures: readonly Uint8Array[];
}

/**
 * Places things that were filmed alone, on the same background, side by side: in rows or in columns, whichever leaves them
 * more room, the first one on top or on the left. Each gets smaller about its own centre; along its lane it moves as far as it did alone.
 * Where two meet, the one that differs more from the background hides the other.
 *
 * @param films one for each thing, of equally many pictures
 * @param scale of the things, above 0 and at most 1
 * @param lanes Default: whichever leave more room
 * @returns one picture after the other, bytes [height, width, 3]
 */
export function* placeThings(films: readonly Pictures[], scale: number, lanes?: Lanes): Generator<Uint8Array> {
  const { width, height, pictures } = films[0]!;
  const things = films.map((film) => film.pictures.map((picture) => findThing(picture, film)));
  const backgrounds = things.map((shown) => middleColour(shown.map(({ background }) => background)));
  const background = colour((channel) => backgrounds.reduce((sum, each) => sum + each[channel]!, 0) / films.length);
  const areRows = sumOf(things, 'height') * width <= sumOf(things, 'width') * height;
  const are = lanes ?? (areRows ? 'rows' : 'columns');
  for (let index = 0; index < pictures.length; index++) {
    const placed = new Float32Array(width * height * 3);
    things.forEach((shown, lane) => {
      const thing = shown[index]!;
      const { x, y } = intoLane({ x: thing.centre.x / width, y: thing.centre.y / height }, are, lane, films.length);
      drawThing(thing, { width, height, scale, to: { x: x * width, y: y * height } }, placed);
    });
    yield Uint8Array.from(placed, (difference, i) => min(255, max(0, round(background[i % 3]! + difference))));
  }
}

/** The sum of the things' sizes, each of the area that it moves in. */
function sumOf(things: readonly Found[][], side: 'width' | 'height'): number {
  const [start, end] = side === 'width' ? (['left', 'right'] as const) : (['top', 'bottom'] as const);
  return things.reduce((sum, shown) => {
    const first = min(...shown.map(({ visible }) => visible[start]));
    const last = max(...shown.map(({ visible }) => visible[end]));
    return sum + max(0, last - first);
  }, 0);
}
