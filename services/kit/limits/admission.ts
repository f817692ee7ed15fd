import { AsyncLocalStorage } from 'node:async_hooks';
import type { Metadata } from '@grpc/grpc-js';

/** A call of which only the headers have been read. */
export interface CallHeaders {
  /** `/package.Service/Method`. */
  path: string;
  metadata: Metadata;
}

/** Decides by its headers whether a call is accepted; throws the error for the caller. */
export type Admit<Admitted = unknown> = (headers: CallHeaders) => Promise<Admitted>;

const admitted = new AsyncLocalStorage<unknown>();

/** What {@link Admit} returned for the current call. */
export function admission<Admitted>(): Admitted {
  return admitted.getStore() as Admitted;
}

/** Runs a call, or part of it, with what {@link Admit} returned. */
export function asAdmitted(what: unknown, handle: () => void): void {
  admitted.run(what, handle);
}
