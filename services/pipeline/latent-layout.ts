/** Ratio of picture size to latent size, in each direction. */
export const latentScale = 8;
export const latentChannels = 4;
