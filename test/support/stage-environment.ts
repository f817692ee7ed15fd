import { addressVariable, type StageName, stageNames } from '../../services/pipeline/stages.ts';

/** Environment variables with the stages' addresses, for a gateway's process. */
export function stageEnvironment(addresses: Readonly<Record<StageName, string>>): Record<string, string> {
  return Object.fromEntries(stageNames.map((name) => [addressVariable(name), addresses[name]]));
}
