import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { receiverLookup, requireRemote } from './guarded-lookup.ts';

export interface WebhookCall {
  url: string;
  headers: Record<string, string>;
  body: string;
  /** Whether the call may go to this machine or a link-local address. */
  allowLocal: boolean;
  signal: AbortSignal;
}

/** Makes one call and returns the response status. Does not read the body or follow redirects. */
export function postWebhook({ url, headers, body, allowLocal, signal }: WebhookCall): Promise<number> {
  const { protocol, hostname } = new URL(url);
  const request = protocol === 'https:' ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    if (!allowLocal) {
      // A literal address needs no lookup.
      requireRemote(hostname);
    }
    const call = request(url, {
      method: 'POST',
      headers: {
        ...headers,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'FusionFrames',
      },
      agent: false,
      signal,
      lookup: receiverLookup(!allowLocal),
    });
    call.on('response', (response) => {
      response.destroy();
      resolve(response.statusCode!);
    });
    call.on('error', reject);
    call.end(body);
  });
}
