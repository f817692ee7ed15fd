import type { CallContext, ServerMiddlewareCall } from 'nice-grpc';
import { admission } from '../../services/kit/limits/admission.ts';
import type { Service } from '../../services/kit/serve.ts';
import type { ApiKeys } from './api-keys.ts';
import { type Caller, requireScope, type Scope } from './caller.ts';
import type { CallsOfKeys } from './calls-of-keys.ts';

/**
 * Lets calls over gRPC in by their key (metadata `authorization`), before any message of theirs is read; bounds how many
 * of one key are under way, and ends a stream soon after its key is revoked. See {@link ApiKeys.authenticate} and
 * {@link CallsOfKeys.enter} for what it throws.
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

/** The answers of a call until its key is revoked. */
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

/** Who makes the call that is being handled. Throws PERMISSION_DENIED without the scope it takes. */
export function callerOf(_context: CallContext, scope: Scope): Caller {
  const caller = admission<Caller>();
  requireScope(caller, scope);
  return caller;
}
