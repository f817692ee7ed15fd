/** Latents are this many times smaller than the picture, in each direction. */
export const latentScale = 8;
export const latentChannels = 4;
