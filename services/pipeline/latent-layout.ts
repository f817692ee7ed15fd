/** Ratio of picture size to latent size, in each direction. */
export const latentScale = 8;
export const latentChannels = 4;
/** A first frame that the keyframe network makes is this many times as wide and high as the video. */
export const firstFrameScale = 2;
