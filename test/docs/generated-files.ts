import { graphHashes } from './graph-hashes.ts';
import { thirdPartyList } from './licences.ts';
import { operatorAlerts } from './operator-alerts.ts';
import { optionReference } from './option-reference.ts';
import { settingsReference } from './settings-reference.ts';
import { videoFaultReference } from './video-fault-reference.ts';

/** Files generated from the code, by path. */
export const generatedFiles: Readonly<Record<string, () => string>> = {
  'THIRD-PARTY.md': thirdPartyList,
  'deploy/kubernetes/components/prometheus-operator/alerts.yaml': operatorAlerts,
  'docs/settings.md': settingsReference,
  'docs/video-faults.md': videoFaultReference,
  'docs/video-options.md': optionReference,
  'test/fixtures/graph-hashes.json': graphHashes,
};
