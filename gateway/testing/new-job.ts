import { VideoSettings } from '../../proto/gen/fusionframes/v1/video.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { resolveSettings } from '../api/resolve-settings.ts';
import type { NewJob } from '../jobs/job.ts';
import type { StorableJob } from '../jobs/store/create-job.ts';

const settings = VideoSettings.fromPartial({
  prompt: 'a red circle',
  seed: 2n ** 64n - 1n,
  keyframes: { steps: 3, guidanceScale: 2 },
  interpolation: { steps: 3, guidanceScale: 2 },
});

/** A small job, with the largest seed. */
export const newJob: NewJob & Pick<StorableJob, 'picture' | 'requiredLevel' | 'keptStages' | 'work'> = {
  clientId: '',
  otherClientId: '',
  fingerprint: 'a',
  model: 'nano',
  version: '',
  requiredLevel: 0,
  settings: { ...resolveSettings(settings, loadPreset('nano')), frameRate: 'low', width: 64, height: 64 },
  picture: undefined,
  warnings: ['careful'],
  priority: 0,
  isPriorityGiven: false,
  work: 1,
  keptStages: 0,
  continues: '',
  frames: 15,
  previews: false,
  webhook: undefined,
  deadline: undefined,
  metadata: {},
  remixOf: '',
  refusal: undefined,
};
