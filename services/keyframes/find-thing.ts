const { floor, max, min, sqrt } = Math;

/** Length of a colour's difference from the background (0 to 442) below which it is noise. */
const minDifference = 12;
/** The same below which a pixel does not count as part of a thing. */
const minVisible = 48;

export interface Size {
  width: number;
  height: number;
}

export type Colour = [red: number, green: number, blue: number];

/** What differs from the background in a picture; positions are in pixels, from the top left corner. */
export interface Found {
  background: Colour;
  /** [height, width, 3], 0 where the picture shows the background. */
  difference: Float32Array;
  centre: { x: number; y: number };
  /** All that differs, then what is visible; the last row and column are outside. */
  box: Box;
  visible: Box;
  /** Which rows and columns show something visible. */
  visibleRows: boolean[];
  visibleColumns: boolean[];
}

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * What differs from the background, the median colour of the picture's rim.
 *
 * @param picture bytes [height, width, 3]
 * @param isPart whether a pixel counts. Default: all do
 */
export function findThing(
  picture: Uint8Array,
  { width, height }: Size,
  isPart: (column: number, row: number) => boolean = () => true,
): Found {
  const background = rimColour(picture, width, height);
  const difference = new Float32Array(picture.length);
  const box = emptyBox();
  const visible = emptyBox();
  const visibleRows = new Array<boolean>(height).fill(false);
  const visibleColumns = new Array<boolean>(width).fill(false);
  let [weight, x, y] = [0, 0, 0];
  for (let pixel = 0; pixel < width * height; pixel++) {
    const [red, green, blue] = colour((channel) => picture[pixel * 3 + channel]! - background[channel]!);
    const length = sqrt(red * red + green * green + blue * blue);
    const [column, row] = [pixel % width, floor(pixel / width)];
    if (length >= minDifference && isPart(column, row)) {
      difference.set([red, green, blue], pixel * 3);
      weight += length;
      x += length * (column + 0.5);
      y += length * (row + 0.5);
      extend(box, column, row);
      if (length >= minVisible) {
        extend(visible, column, row);
        visibleRows[row] = true;
        visibleColumns[column] = true;
      }
    }
  }
  const centre = weight > 0 ? { x: x / weight, y: y / weight } : { x: width / 2, y: height / 2 };
  return { background, difference, centre, box, visible, visibleRows, visibleColumns };
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
export function middleColour(colours: readonly Colour[]): Colour {
  return colour((channel) => colours.map((each) => each[channel]!).sort((a, b) => a - b)[colours.length >> 1]!);
}

export function colour(of: (channel: number) => number): Colour {
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
