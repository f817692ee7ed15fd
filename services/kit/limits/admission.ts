import { AsyncLocalStorage } from 'node:async_hooks';
import type { Metadata } from '@grpc/grpc-js';

/** A call of which nothing has been read but its headers. */
export interface CallHeaders {
  /** `/package.Service/Method`. */
  path: string;
  metadata: Metadata;
}

/** Decides by its headers whether a call is let in; throws what the caller is to be told. */
export type Admit<Admitted = unknown> = (headers: CallHeaders) => Promise<Admitted>;

const admitted = new AsyncLocalStorage<unknown>();

/** What {@link Admit} said of the call that is being handled. */
export function admission<Admitted>(): Admitted {
  return admitted.getStore() as Admitted;
}

/** Handles a call, or a part of it, as admitted. */
export function asAdmitted(what: unknown, handle: () => void): void {
  admitted.run(what, handle);
}
