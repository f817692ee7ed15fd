import { type InputVideoTrack, Logging, LogLevel, type Rotation } from 'mediabunny';
import { type ReadBytes, type ShownPart, shownPart } from './edit-list.ts';
import { UnreadableVideo } from './unreadable-video.ts';

// What it warns of is reported as an error, or does not matter.
Logging.level = LogLevel.Errors;

/** How a track's frames are stored. */
export interface VideoStorage {
  /** As mediabunny gives it. */
  config: NonNullable<Awaited<ReturnType<InputVideoTrack['getDecoderConfig']>>>;
  /** Degrees clockwise by which a decoder's frames are turned to be upright; then they are mirrored. */
  rotation: Rotation;
  flip: boolean;
  shown: ShownPart;
}

/** @param read of the track's file. Throws {@link UnreadableVideo}. */
export async function storageOf(track: InputVideoTrack, read: ReadBytes): Promise<VideoStorage> {
  const config = await track.getDecoderConfig();
  if (!config) {
    throw new UnreadableVideo(`its codec (${(await track.getInternalCodecId()) ?? 'unknown'}) cannot be decoded`);
  }
  const shown = await shownPart(read, track.id, await track.getTimeResolution());
  return { config, rotation: await track.getRotation(), flip: await track.getFlip(), shown };
}
