/** Kinds of pictures that users may give. */
export const pictureMediaTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/avif'] as const;

/** Minimum number of given keyframes. */
export const minKeyframes = 2;

/** Kinds of clips that users may give. */
export const clipMediaTypes = ['video/mp4', 'video/quicktime', 'video/webm', 'image/webp'] as const;

/** Maximum size of a given picture, or of all given keyframes, bytes. */
export const maxPictureBytes = 12 << 20;

/** Maximum number of its pixels: a 4K photo has 8 million, those of large cameras up to 36. */
export const maxPicturePixels = 40_000_000;
