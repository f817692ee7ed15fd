const { abs, ceil, floor, max, min, round, sqrt } = Math;

/** Pictures of the same size, bytes [height, width, 3] each. */
interface Pictures {
  width: number;
  height: number;
  pictures: readonly Uint8Array[];
}

/** Length of a colour's difference from the background (0 to 442) below which it is noise. */
const minDifference = 12;
/** The same below which a pixel does not count as part of a thing. */
const minVisible = 48;
/** How far things move across their lanes, as a part of their way when alone. */
const partAcross = 0.5;
/** Points of a pixel, in each direction, at which the smaller picture is read. */
const samplesPerSide = 2;

/**
 * Places things that were filmed alone, on the same background, side by side: in rows or in columns, whichever leaves them
 * more room, the first one on top or on the left. Each gets smaller about its own centre; along its lane it moves as far as it did alone.
 * Where two meet, the one that differs more from the background hides the other.
 *
 * @param films one for each thing, of equally many pictures
 * @param scale of the things, above 0 and at most 1
 * @returns one picture after the other, bytes [height, width, 3]
 */
export function* placeThings(films: readonly Pictures[], scale: number): Generator<Uint8Array> {
  const { width, height, pictures } = films[0]!;
  const things = films.map((film) => film.pictures.map((picture) => findThing(picture, film)));
  const backgrounds = things.map((shown) => middleColour(shown.map(({ background }) => background)));
  const background = colour((channel) => backgrounds.reduce((sum, each) => sum + each[channel]!, 0) / films.length);
  const areRows = sumOf(things, 'height') * width <= sumOf(things, 'width') * height;
  for (let index = 0; index < pictures.length; index++) {
    const placed = new Float32Array(width * height * 3);
    things.forEach((shown, lane) => {
      const thing = shown[index]!;
      const middle = (lane + 0.5) / films.length;
      const across = (centre: number, size: number) => (middle + (centre / size - 0.5) * partAcross) * size;
      const { x, y } = thing.centre;
      const to = areRows ? { x, y: across(y, height) } : { x: across(x, width), y };
      drawSmaller(thing, { width, height, scale, to }, placed);
    });
    yield Uint8Array.from(placed, (difference, i) => min(255, max(0, round(background[i % 3]! + difference))));
  }
}

type Colour = [red: number, green: number, blue: number];

/** What differs from the background in a picture; positions are in pixels, from the top left corner. */
interface Found {
  background: Colour;
  /** [height, width, 3], 0 where the picture shows the background. */
  difference: Float32Array;
  centre: { x: number; y: number };
  /** All that differs, then what is visible; the last row and column are outside. */
  box: Box;
  visible: Box;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

function findThing(picture: Uint8Array, { width, height }: Pictures): Found {
  const background = rimColour(picture, width, height);
  const difference = new Float32Array(picture.length);
  const box = emptyBox();
  const visible = emptyBox();
  let [weight, x, y] = [0, 0, 0];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [red, green, blue] = colour((channel) => picture[pixel * 3 + channel]! - background[channel]!);
    const length = sqrt(red * red + green * green + blue * blue);
    if (length >= minDifference) {
      const [column, row] = [pixel % width, floor(pixel / width)];
      difference.set([red, green, blue], pixel * 3);
      weight += length;
      x += length * (column + 0.5);
      y += length * (row + 0.5);
      extend(box, column, row);
      if (length >= minVisible) {
        extend(visible, column, row);
      }
    }
  }
  const centre = weight > 0 ? { x: x / weight, y: y / weight } : { x: width / 2, y: height / 2 };
  return { background, difference, centre, box, visible };
}

/** The median colour of a picture's rim. */
function rimColour(picture: Uint8Array, width: number, height: number): Colour {
  const rim: Colour[] = [];
  const add = (column: number, row: number) => {
    rim.push(colour((channel) => picture[(row * width + column) * 3 + channel]!));
  };
  for (let column = 0; column < width; column++) {
    add(column, 0);
    add(column, height - 1);
  }
  for (let row = 0; row < height; row++) {
    add(0, row);
    add(width - 1, row);
  }
  return middleColour(rim);
}

/** The median of each channel. */
function middleColour(colours: readonly Colour[]): Colour {
  return colour((channel) => colours.map((each) => each[channel]!).sort((a, b) => a - b)[colours.length >> 1]!);
}

function colour(of: (channel: number) => number): Colour {
  return [of(0), of(1), of(2)];
}

function emptyBox(): Box {
  return { left: Number.POSITIVE_INFINITY, top: Number.POSITIVE_INFINITY, right: 0, bottom: 0 };
}

function extend(box: Box, column: number, row: number): void {
  box.left = min(box.left, column);
  box.top = min(box.top, row);
  box.right = max(box.right, column + 1);
  box.bottom = max(box.bottom, row + 1);
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

interface Placing {
  width: number;
  height: number;
  scale: number;
  /** Where the thing's centre goes. */
  to: { x: number; y: number };
}

function drawSmaller(
  { difference, centre, box }: Found,
  { width, height, scale, to }: Placing,
  placed: Float32Array,
): void {
  const columnOf = (x: number) => to.x + (x - centre.x) * scale;
  const rowOf = (y: number) => to.y + (y - centre.y) * scale;
  const [top, bottom] = [max(0, floor(rowOf(box.top)) - 1), min(height, ceil(rowOf(box.bottom)) + 1)];
  const [left, right] = [max(0, floor(columnOf(box.left)) - 1), min(width, ceil(columnOf(box.right)) + 1)];
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const drawn: Colour = [0, 0, 0];
      for (let sample = 0; sample < samplesPerSide ** 2; sample++) {
        const x = column + ((sample % samplesPerSide) + 0.5) / samplesPerSide;
        const y = row + (floor(sample / samplesPerSide) + 0.5) / samplesPerSide;
        addPoint(difference, { width, height }, centre.x + (x - to.x) / scale, centre.y + (y - to.y) / scale, drawn);
      }
      const at = (row * width + column) * 3;
      const lengthHere = lengthOf(placed[at]!, placed[at + 1]!, placed[at + 2]!);
      const [red, green, blue] = colour((channel) => drawn[channel]! / samplesPerSide ** 2);
      if (lengthOf(red, green, blue) > lengthHere) {
        placed.set([red, green, blue], at);
      }
    }
  }
}

/** Adds the colour at a point, interpolated between the centres of the four pixels around it. */
function addPoint(
  difference: Float32Array,
  { width, height }: { width: number; height: number },
  x: number,
  y: number,
  sum: Colour,
): void {
  const [left, top] = [floor(x - 0.5), floor(y - 0.5)];
  for (const row of [top, top + 1]) {
    for (const column of [left, left + 1]) {
      if (row >= 0 && row < height && column >= 0 && column < width) {
        const share = (1 - abs(x - 0.5 - column)) * (1 - abs(y - 0.5 - row));
        const at = (row * width + column) * 3;
        sum[0] += share * difference[at]!;
        sum[1] += share * difference[at + 1]!;
        sum[2] += share * difference[at + 2]!;
      }
    }
  }
}

function lengthOf(red: number, green: number, blue: number): number {
  return sqrt(red * red + green * green + blue * blue);
}
