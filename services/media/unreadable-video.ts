/** A video with a property that this program does not read; the message names it. */
export class UnreadableVideo extends Error {}
