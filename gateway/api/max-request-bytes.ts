import { maxPictureBytes } from '../../services/kit/pictures.ts';

/** Maximum size of an HTTP request in bytes: the longest prompts with every character escaped, plus a margin. */
export const maxRequestBytes = 512 << 10;

/** The same for a request with a picture, in base64. */
export const maxPictureRequestBytes = maxRequestBytes + Math.ceil(maxPictureBytes / 3) * 4;

/** Maximum size of a gRPC message: a request with a picture. */
export const maxMessageBytes = maxRequestBytes + maxPictureBytes;

/** Maximum size in bytes of all larger requests in progress. */
export const maxHeldBytes = 128 << 20;
