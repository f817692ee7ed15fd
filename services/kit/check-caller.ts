import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { Status } from 'nice-grpc-common';
import type { Logger } from './log.ts';

/** Probes ask without being among those who may call. */
const forAll = /^\/grpc\.health\./;

/**
 * Turns callers away that have no valid certificate of the authorities (UNAUTHENTICATED), and those whose certificate has
 * none of the names allowed (PERMISSION_DENIED, naming what it says). Done call by call, since a connection that is
 * refused tells neither side why.
 *
 * @param allowed DNS names and URIs, compared as they are; empty: all
 */
export function checkCaller(allowed: readonly string[], log: Logger): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, proceed) {
            const refusal = refuse(call.getAuthContext().sslPeerCertificate, forAll.test(method.path) ? [] : allowed);
            if (!refusal) {
              proceed(metadata);
              return;
            }
            log.warn({ method: method.path, peer: call.getPeer(), allowed }, `caller turned away: ${refusal.details}`);
            call.sendStatus(refusal);
          },
        }),
    });
}

function refuse(certificate: PeerCertificate | undefined, allowed: readonly string[]) {
  if (!certificate) {
    return {
      code: Status.UNAUTHENTICATED,
      details:
        'the caller has no valid certificate: it shows none, one that has expired, or one of an authority that this server does not trust',
    };
  }
  const names = namesOf(new X509Certificate(certificate.raw));
  if (allowed.length === 0 || names.some((name) => allowed.includes(name))) {
    return undefined;
  }
  const owner = names.join(', ') || 'nobody (it has no DNS name and no URI)';
  return {
    code: Status.PERMISSION_DENIED,
    details: `the caller's certificate is made out to ${owner}, which may not call this server`,
  };
}

/** The DNS names and URIs that a certificate is made out to. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  // Node quotes a name that holds what could be taken for another one.
  const names = subjectAltName.matchAll(/(?:^|, )(?:DNS|URI):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  return [...names].map(([, name = '']) => (name.startsWith('"') ? (JSON.parse(name) as string) : name));
}
