import { FusionError } from '../services/kit/errors.ts';
import { noConnection } from '../services/kit/no-connection.ts';

/** Adds what to do to the error of a call that reached no gateway. */
export function withGatewayHint(thrown: unknown): unknown {
  if (!(thrown instanceof FusionError) || thrown.reason !== noConnection) {
    return thrown;
  }
  const { code, reason, message } = thrown;
  const hint = 'start a gateway with `fusionframes serve`, or name a running one with --address';
  return new FusionError(code, `${message}; ${hint}`, { reason, cause: thrown });
}
