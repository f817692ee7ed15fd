/*
 * A temporal group is a pair of neighbouring frames and the three frames that the interpolation network makes between
 * them. T frames have T − 1 groups.
 */

/** Number of frames that a group adds. */
export const framesPerGroup = 3;

/**
 * The interpolation network's input [T−1, 20, h, w]: for each group the left frame (4 channels), the three noisy frames
 * (12) and the right frame (4).
 *
 * @param noisy [T−1, 12, h, w]
 * @param frames [T, 4, h, w]; absent for the unconditional half of guidance: zeros take their place
 * @param frameSize elements of a frame, 4·h·w
 * @param output where to write, (T−1)·5·frameSize elements, all zero
 */
export function writeGroupInputs(
  noisy: Float32Array,
  frames: Float32Array | undefined,
  frameSize: number,
  output: Float32Array,
): void {
  const noisySize = framesPerGroup * frameSize;
  const groupSize = noisySize + 2 * frameSize;
  for (let group = 0; group * noisySize < noisy.length; group++) {
    const at = group * groupSize;
    output.set(noisy.subarray(group * noisySize, (group + 1) * noisySize), at + frameSize);
    if (frames) {
      output.set(frames.subarray(group * frameSize, (group + 1) * frameSize), at);
      output.set(frames.subarray((group + 1) * frameSize, (group + 2) * frameSize), at + frameSize + noisySize);
    }
  }
}

/**
 * Adds to the frames of each group the linear blend of the two frames around them, in place.
 *
 * @param groups [T−1, 12, h, w]
 * @param frames [T, 4, h, w]
 * @param frameSize elements of a frame, 4·h·w
 */
export function addBlend(groups: Float32Array, frames: Float32Array, frameSize: number): void {
  for (let index = 0; index < groups.length; index++) {
    const between = Math.floor(index / frameSize);
    const left = Math.floor(between / framesPerGroup) * frameSize + (index % frameSize);
    const share = ((between % framesPerGroup) + 1) / (framesPerGroup + 1);
    groups[index]! += frames[left]! + share * (frames[left + frameSize]! - frames[left]!);
  }
}

/**
 * Interleaves the new frames with the ones around them: [T, 4, h, w] and [T−1, 12, h, w] become [4·T−3, 4, h, w], whose
 * frame 4k is the given frame k.
 *
 * @param frameSize elements of a frame, 4·h·w
 */
export function interleave(frames: Float32Array, groups: Float32Array, frameSize: number): Float32Array {
  const groupSize = framesPerGroup * frameSize;
  const stride = frameSize + groupSize;
  const video = new Float32Array(frames.length + groups.length);
  for (let frame = 0; frame * frameSize < frames.length; frame++) {
    video.set(frames.subarray(frame * frameSize, (frame + 1) * frameSize), frame * stride);
    video.set(groups.subarray(frame * groupSize, (frame + 1) * groupSize), frame * stride + frameSize);
  }
  return video;
}
