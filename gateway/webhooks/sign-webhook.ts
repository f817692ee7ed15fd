import { createHmac } from 'node:crypto';

/**
 * Headers that authenticate a call (standardwebhooks.com): `v1,` and the base64 HMAC-SHA256 of id, time and body.
 *
 * @param secret `whsec_` followed by base64, or any text, whose UTF-8 bytes are the key
 */
export function signWebhook(id: string, at: Date, body: string, secret: string): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
