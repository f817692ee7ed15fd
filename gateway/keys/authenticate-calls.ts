import type { CallContext, ServerMiddlewareCall } from 'nice-grpc';
import type { ApiKeys } from './api-keys.ts';
import { type Caller, requireScope, type Scope } from './caller.ts';

interface AuthenticatedContext extends CallContext {
  caller: Caller;
}

/**
 * gRPC middleware: lets in who has a key (metadata `authorization`), and ends a stream soon after its key is revoked. See
 * {@link ApiKeys.authenticate} for what it throws.
 */
export function authenticateCalls(keys: ApiKeys) {
  return async function* <Request, Response>(
    call: ServerMiddlewareCall<Request, Response>,
    context: CallContext,
  ): AsyncGenerator<Response, Response | void, undefined> {
    const caller = await keys.authenticate(context.metadata.get('authorization'));
    const authenticated: AuthenticatedContext = { ...context, caller };
    if (!call.responseStream) {
      return yield* call.next(call.request, authenticated);
    }
    const supervision = keys.supervise(caller);
    const signal = AbortSignal.any([context.signal, supervision.signal]);
    try {
      for await (const response of call.next(call.request, { ...authenticated, signal } as AuthenticatedContext)) {
        supervision.signal.throwIfAborted();
        yield response as Awaited<Response>;
      }
      supervision.signal.throwIfAborted();
    } catch (error) {
      throw supervision.signal.aborted ? supervision.signal.reason : error;
    } finally {
      supervision.end();
    }
  };
}

/** Who makes a call that came through {@link authenticateCalls}. Throws PERMISSION_DENIED without the scope it takes. */
export function callerOf(context: CallContext, scope: Scope): Caller {
  const { caller } = context as AuthenticatedContext;
  requireScope(caller, scope);
  return caller;
}
