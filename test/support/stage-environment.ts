import { addressVariable, type StageName, stageNames } from '../../services/pipeline/stages.ts';

/** Tells a gateway's process where the stages are. */
export function stageEnvironment(addresses: Readonly<Record<StageName, string>>): Record<string, string> {
  return Object.fromEntries(stageNames.map((name) => [addressVariable(name), addresses[name]]));
}
