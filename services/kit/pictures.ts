/** Kinds of pictures that users may give. */
export const pictureMediaTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/avif'] as const;

/** Maximum size of a given picture, bytes. */
export const maxPictureBytes = 12 << 20;

/** Maximum number of its pixels: a 4K photo has 8 million, those of large cameras up to 36. */
export const maxPicturePixels = 40_000_000;
