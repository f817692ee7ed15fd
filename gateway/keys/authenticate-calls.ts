import type { CallContext, ServerMiddlewareCall } from 'nice-grpc';
import { admission } from '../../services/kit/limits/admission.ts';
import type { Service } from '../../services/kit/serve.ts';
import { Patience } from '../database/patience.ts';
import type { ApiKeys } from './api-keys.ts';
import { type Caller, requireScope, type Scope } from './caller.ts';
import type { CallsOfKeys } from './calls-of-keys.ts';

/** A call whose key was recognised. */
interface Admitted {
  caller: Caller;
  patience: Patience;
  /** Whether its response has begun. */
  isAnswering: boolean;
}

/**
 * Authenticates gRPC calls by their key (metadata `authorization`) before reading any message, bounds the concurrent
 * calls of each key, and ends a stream soon after its key is revoked. See {@link ApiKeys.authenticate} and {@link
 * CallsOfKeys.enter} for the errors.
 */
export function authenticateCalls(keys: ApiKeys, calls?: CallsOfKeys): Pick<Service, 'admit' | 'middleware'> {
  return {
    async admit({ metadata }): Promise<Admitted> {
      const patience = new Patience(() => admitted.isAnswering);
      const admitted = { patience, isAnswering: false };
      const authorization = metadata.get('authorization')[0]?.toString();
      return Object.assign(admitted, { caller: await patience.during(() => keys.authenticate(authorization)) });
    },

    async *middleware<Request, Response>(
      call: ServerMiddlewareCall<Request, Response>,
      context: CallContext,
    ): AsyncGenerator<Response, Response | void, undefined> {
      const admitted = admission<Admitted>();
      const leave = calls?.enter(admitted.caller);
      try {
        const responses = call.responseStream ? supervised(keys, call, context) : call.next(call.request, context);
        return yield* withPatience(admitted, responses);
      } finally {
        leave?.();
      }
    },
  };
}

/** Passes on a call's responses; has what the handler asks share the call's time. */
async function* withPatience<Response>(
  admitted: Admitted,
  responses: AsyncGenerator<Response, Response | void, undefined>,
): AsyncGenerator<Response, Response | void, undefined> {
  const next = () => admitted.patience.during(() => responses.next());
  try {
    for (let each = await next(); ; each = await next()) {
      admitted.isAnswering = true;
      if (each.done) {
        return each.value;
      }
      yield each.value;
    }
  } finally {
    admitted.isAnswering = true;
    await responses.return(undefined);
  }
}

/** Passes on a call's responses until its key is revoked. */
async function* supervised<Request, Response>(
  keys: ApiKeys,
  call: ServerMiddlewareCall<Request, Response>,
  context: CallContext,
): AsyncGenerator<Response, Response | void, undefined> {
  const supervision = keys.supervise(admission<Admitted>().caller);
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
  const { caller } = admission<Admitted>();
  requireScope(caller, scope);
  return caller;
}
