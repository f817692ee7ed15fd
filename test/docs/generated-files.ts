import { thirdPartyList } from './licences.ts';
import { settingsReference } from './settings-reference.ts';

/** Documents that follow from the code, by their path. */
export const generatedFiles: Readonly<Record<string, () => string>> = {
  'THIRD-PARTY.md': thirdPartyList,
  'docs/settings.md': settingsReference,
};
