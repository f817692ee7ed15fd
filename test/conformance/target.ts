import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeTemporaryFolder } from '../../services/kit/temporary-folder.ts';
import type { Recording, Scenario } from './exchanges.ts';

/** A server that a scenario is played on. */
export interface Target {
  address: string;
  /** Its model repository, where that can be changed. */
  repository: string | undefined;
  stop(): Promise<void>;
}

/** Starts a fresh server over a fresh copy of the models. Rejects when it ends by itself. */
export type StartTarget = (recording: Recording, scenario: Scenario) => Promise<Target>;

/** A copy of a scenario's models; the caller removes it. */
export function copyRepository({ models }: Recording, scenario: Scenario): string {
  const repository = makeTemporaryFolder();
  if (scenario.models) {
    for (const model of scenario.models) {
      mkdirSync(join(repository, model));
      cpSync(join(models, model), join(repository, model), { recursive: true });
    }
  } else {
    cpSync(models, repository, { recursive: true });
  }
  return repository;
}
