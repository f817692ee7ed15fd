export { openMp4Sink } from './mp4-sink.ts';
export { openPngFramesSink } from './png-frames-sink.ts';
export { openSpritesheetSink } from './spritesheet-sink.ts';
export { openStoryboardSink } from './storyboard-sink.ts';
export { openThumbnailSink } from './thumbnail-sink.ts';
export { openWebpSink } from './webp-sink.ts';
