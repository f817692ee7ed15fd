/*
 * Masked frame interpolation, the paper's baseline: every pair of neighbouring frames is a sequence of five, of which the
 * first and the last are given and the three between them are missing. T frames have T − 1 sequences.
 */

const missing = 3;
/** Frames of a sequence. */
export const sequenceFrames = missing + 2;

/** Elements of a sequence's input for frames of `frameSize` = 4·h·w elements: 9 channels of 5 frames. */
export function sequenceLength(frameSize: number): number {
  return sequenceFrames * (2 * frameSize + frameSize / 4);
}

/**
 * The network's input [T−1, 5, 9, h, w]: of each frame the noise (4 channels, zeros if it is given), the frame itself (4,
 * zeros if it is missing) and the mask (1, ones if it is given).
 *
 * @param noisy [T−1, 12, h, w]
 * @param frames [T, 4, h, w]; absent for the unconditional half of guidance: no frame is given
 * @param frameSize elements of a frame, 4·h·w
 * @param output where to write, all zero
 */
export function writeSequenceInputs(
  noisy: Float32Array,
  frames: Float32Array | undefined,
  frameSize: number,
  output: Float32Array,
): void {
  const inputSize = 2 * frameSize + frameSize / 4;
  const give = (at: number, frame: number) => {
    output.set(frames!.subarray(frame * frameSize, (frame + 1) * frameSize), at + frameSize);
    output.fill(1, at + 2 * frameSize, at + inputSize);
  };
  for (let pair = 0; pair * missing * frameSize < noisy.length; pair++) {
    const at = pair * sequenceFrames * inputSize;
    for (let i = 0; i < missing; i++) {
      const from = (pair * missing + i) * frameSize;
      output.set(noisy.subarray(from, from + frameSize), at + (i + 1) * inputSize);
    }
    if (frames) {
      give(at, pair);
      give(at + (sequenceFrames - 1) * inputSize, pair + 1);
    }
  }
}

/** The missing frames of a prediction [n, 5, 4, h, w] → [n, 12, h, w]. */
export function missingFrames(prediction: Float32Array, frameSize: number): Float32Array {
  const length = sequenceFrames * frameSize;
  const found = new Float32Array((prediction.length / sequenceFrames) * missing);
  for (let at = 0, to = 0; at < prediction.length; at += length, to += missing * frameSize) {
    found.set(prediction.subarray(at + frameSize, at + length - frameSize), to);
  }
  return found;
}
