import type { Logger } from '../../services/kit/log.ts';
import { pictureWatermark, type Watermark } from '../media/watermark.ts';
import { type ProvenanceOptions, provenanceSettings } from './provenance-settings.ts';
import { openSigner, type VideoSigner } from './video-signer.ts';

/** The label and signature of generated videos. */
export interface VideoProvenance {
  /** Absent: frames stay as they are. */
  watermark: Watermark | undefined;
  /** Absent: videos are not signed. */
  signer: VideoSigner | undefined;
}

/** Opens what the settings configure. Throws INVALID_ARGUMENT naming the setting at fault. */
export async function openProvenance(options: ProvenanceOptions, log: Logger): Promise<VideoProvenance> {
  const signer = await openSigner(options, log);
  const { watermark: path } = options;
  return { signer, watermark: path ? await pictureWatermark(path, provenanceSettings.watermark.name) : undefined };
}
