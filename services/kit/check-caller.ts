import { X509Certificate } from 'node:crypto';
import type { PeerCertificate } from 'node:tls';
import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { Status } from 'nice-grpc-common';
import type { Logger } from './log.ts';

/** Probes are not among the allowed callers. */
const forAll = /^\/grpc\.health\./;

/**
 * Rejects callers without a valid certificate from the authorities (UNAUTHENTICATED) and callers whose certificate has
 * none of the allowed names (PERMISSION_DENIED, with the names it has). Done per call, because a refused connection
 * gives neither side a reason.
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
            log.warn({ method: method.path, peer: call.getPeer(), allowed }, `caller rejected: ${refusal.details}`);
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
        'the caller has no valid certificate: it sent none, an expired one, or one from an authority that this server does not trust',
    };
  }
  const names = namesOf(new X509Certificate(certificate.raw));
  if (allowed.length === 0 || names.some((name) => allowed.includes(name))) {
    return undefined;
  }
  const owner = names.join(', ') || 'no one (it has no DNS name or URI)';
  return {
    code: Status.PERMISSION_DENIED,
    details: `the caller's certificate is issued to ${owner}, which may not call this server`,
  };
}

/** The DNS names and URIs that a certificate is issued to. */
function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  // Node quotes a name that could be mistaken for several.
  const names = subjectAltName.matchAll(/(?:^|, )(?:DNS|URI):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  return [...names].map(([, name = '']) => (name.startsWith('"') ? (JSON.parse(name) as string) : name));
}
