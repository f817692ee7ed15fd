import type { CallContext, ServerMiddlewareCall } from 'nice-grpc';
import { Status } from 'nice-grpc-common';
import { FusionError } from '../../services/kit/errors.ts';
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
    for await (const response of call.next(call.request, authenticated)) {
      await requireInForce(keys, caller);
      yield response as Awaited<Response>;
    }
  };
}

/** Who makes a call that came through {@link authenticateCalls}. Throws PERMISSION_DENIED without the scope it takes. */
export function callerOf(context: CallContext, scope: Scope): Caller {
  const { caller } = context as AuthenticatedContext;
  requireScope(caller, scope);
  return caller;
}

/** A database that is away for a moment is no reason to end what had been allowed. */
async function requireInForce(keys: ApiKeys, caller: Caller): Promise<void> {
  try {
    await keys.requireInForce(caller);
  } catch (error) {
    if (error instanceof FusionError && error.code === Status.UNAUTHENTICATED) {
      throw error;
    }
  }
}
