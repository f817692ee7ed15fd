/**
 * A picture, uint8 [height, width, 3], scaled bilinearly to a square: planes [3, side, side] with colours in [−1, 1].
 * PyTorch's `interpolate(mode='bilinear')`, which does not smooth when it shrinks.
 *
 * @param crop `none` squeezes the whole picture; `centre` scales by the shorter side and crops to the centre
 * @param alignCorners whether the centres of the corner pixels coincide, instead of the pictures' corners
 */
export function resampleSquare(
  picture: Uint8Array,
  width: number,
  height: number,
  side: number,
  crop: 'none' | 'centre',
  alignCorners = false,
): Float32Array {
  const scale = side / Math.min(width, height);
  const scaledTo = (length: number) =>
    crop === 'none' || length === Math.min(width, height) ? side : Math.ceil(length * scale);
  const columns = tapsOf(width, scaledTo(width), side, alignCorners);
  const rows = tapsOf(height, scaledTo(height), side, alignCorners);
  const planes = new Float32Array(3 * side * side);
  for (let y = 0; y < side; y++) {
    const upper = rows.from[y]! * width;
    const lower = rows.to[y]! * width;
    const down = rows.share[y]!;
    for (let x = 0; x < side; x++) {
      const left = columns.from[x]!;
      const right = columns.to[x]!;
      const across = columns.share[x]!;
      for (let channel = 0; channel < 3; channel++) {
        const topLeft = picture[(upper + left) * 3 + channel]!;
        const bottomLeft = picture[(lower + left) * 3 + channel]!;
        const top = topLeft + (picture[(upper + right) * 3 + channel]! - topLeft) * across;
        const bottom = bottomLeft + (picture[(lower + right) * 3 + channel]! - bottomLeft) * across;
        planes[(channel * side + y) * side + x] = (top + (bottom - top) * down) / 127.5 - 1;
      }
    }
  }
  return planes;
}

/**
 * Sources of the middle `kept` of `scaled` places: for each, two of the `length` places and the weight of the second.
 */
function tapsOf(length: number, scaled: number, kept: number, alignCorners: boolean) {
  const first = Math.floor((scaled - kept) / 2);
  const places = Float64Array.from({ length: kept }, (_, i) =>
    alignCorners
      ? ((first + i) * (length - 1)) / Math.max(1, scaled - 1)
      : Math.max(0, ((first + i + 0.5) * length) / scaled - 0.5),
  );
  const from = Int32Array.from(places, (place) => Math.min(length - 1, Math.floor(place)));
  return {
    from,
    to: from.map((place) => Math.min(length - 1, place + 1)),
    share: places.map((place, i) => place - from[i]!),
  };
}
