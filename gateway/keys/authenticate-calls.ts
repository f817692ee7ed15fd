import type { CallContext, ServerMiddlewareCall } from 'nice-grpc';
import { admission } from '../../services/kit/limits/admission.ts';
import type { Service } from '../../services/kit/serve.ts';
import type { ApiKeys } from './api-keys.ts';
import { type Caller, requireScope, type Scope } from './caller.ts';
import type { CallsOfKeys } from './calls-of-keys.ts';

/**
 * Authenticates gRPC calls by their key (metadata `authorization`) before reading any message, bounds the concurrent
 * calls of each key, and ends a stream soon after its key is revoked. See {@link ApiKeys.authenticate} and {@link
 * CallsOfKeys.enter} for the errors.
 */
export function authenticateCalls(keys: ApiKeys, calls?: CallsOfKeys): Pick<Service, 'admit' | 'middleware'> {
  return {
    admit: ({ metadata }) => keys.authenticate(metadata.get('authorization')[0]?.toString()),

    async *middleware<Request, Response>(
      call: ServerMiddlewareCall<Request, Response>,
      context: CallContext,
    ): AsyncGenerator<Response, Response | void, undefined> {
      const leave = calls?.enter(admission<Caller>());
      try {
        return yield* call.responseStream ? supervised(keys, call, context) : call.next(call.request, context);
      } finally {
        leave?.();
      }
    },
  };
}

/** Passes on a call's responses until its key is revoked. */
async function* supervised<Request, Response>(
  keys: ApiKeys,
  call: ServerMiddlewareCall<Request, Response>,
  context: CallContext,
): AsyncGenerator<Response, Response | void, undefined> {
  const supervision = keys.supervise(admission<Caller>());
  const signal = AbortSignal.any([context.signal, supervision.signal]);
  try {
    for await (const response of call.next(call.request, { ...context, signal })) {
      supervision.signal.throwIfAborted();
      yield response as Awaited<Response>;
    }
    supervision.signal.throwIfAborted();
  } catch (error) {
    throw supervision.signal.aborted ? supervision.signal.reason : error;
  } finally {
    supervision.end();
  }
}

/** The caller of the current call. Throws PERMISSION_DENIED if it lacks the scope. */
export function callerOf(_context: CallContext, scope: Scope): Caller {
  const caller = admission<Caller>();
  requireScope(caller, scope);
  return caller;
}
