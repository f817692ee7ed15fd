import type { Repository } from '../repository/repository.ts';
import type { SharedMemory } from '../shared-memory.ts';
import type { LogSettings } from './log-settings.ts';

/** State that the protocol's methods share. */
export interface InferenceServerState {
  /** The server's name for clients. */
  readonly id: string;
  /** Version of this project. */
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
