import type { Repository } from '../repository/repository.ts';
import type { SharedMemory } from '../shared-memory.ts';
import type { LogSettings } from './log-settings.ts';

/** What the methods of the protocol work on. */
export interface InferenceServerState {
  /** What the server calls itself. */
  readonly id: string;
  /** Of this project. */
  readonly version: string;
  readonly repository: Repository;
  readonly sharedMemory: SharedMemory;
  readonly logSettings: LogSettings;
  /** Whether clients may load and unload models. */
  readonly isExplicit: boolean;
  /** Whether clients may register shared memory. */
  readonly allowsSharedMemory: boolean;
  isReady(): boolean;
}
