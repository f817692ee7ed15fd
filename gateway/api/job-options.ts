import type { Webhook as WebhookMessage } from '../../proto/gen/fusionframes/v1/video.ts';
import { invalidField, inWords, unknownField } from '../../services/kit/errors.ts';
import { maxTimeSeconds } from '../../services/kit/values.ts';
import { type Webhook, type WebhookEvent, webhookEvents } from '../jobs/job.ts';
import { requireRemote } from '../webhooks/guarded-lookup.ts';

export const maxClientIdLength = 128;
/** The limits of the `openai` client's metadata. */
const maxLabels = 16;
const maxLabelName = 64;
const maxLabelValue = 512;
const unprintable = /[\p{Cc}\p{Surrogate}]/u;
const maxUrlLength = 2048;
const maxSecretLength = 256;
/** After `whsec_` there must be non-empty base64: with an empty key anyone could sign. */
const secretPattern = /^(?:whsec_[A-Za-z0-9+/]{2,}={0,2}|(?!whsec_)[\x20-\x7e]+)$/;

/** Validates a client id; `field` is its name in the API. Throws INVALID_ARGUMENT. */
export function checkClientId(field: string, clientId: string): string {
  if (clientId.length > maxClientIdLength) {
    throw invalidField(field, inWords(`${clientId.length} characters`), `at most ${maxClientIdLength} characters`);
  }
  if (unprintable.test(clientId)) {
    throw invalidField(field, clientId, 'valid Unicode without control characters');
  }
  return clientId;
}

/** Throws INVALID_ARGUMENT for a text that the database cannot hold. */
export function checkText(field: string, text: string): string {
  if (text.includes('\0')) {
    throw invalidField(field, text, 'a text without NUL characters');
  }
  return text;
}

/** Throws INVALID_ARGUMENT unless a time is from 1970 to 2286, see {@link maxTimeSeconds}. */
export function checkTime(field: string, time: Date | undefined): Date | undefined {
  const seconds = time ? time.getTime() / 1000 : 0;
  if (!(seconds >= 0 && seconds <= maxTimeSeconds)) {
    throw invalidField(field, time, 'a time from 1970 to 2286');
  }
  return time;
}

/**
 * Throws INVALID_ARGUMENT unless the URL is http or https and there is a secret to sign with, and PERMISSION_DENIED for
 * this machine if that is not allowed (names are resolved when the webhook is called).
 */
export function resolveWebhook(webhook: WebhookMessage | undefined, allowLocal: boolean): Webhook | undefined {
  if (!webhook) {
    return undefined;
  }
  const { url, secret, events } = webhook;
  if (url.length > maxUrlLength || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw invalidField('webhook.url', url, `an http or https URL of at most ${maxUrlLength} characters`);
  }
  const { username, password, hostname, href } = new URL(url);
  if (username !== '' || password !== '') {
    // The URL is stored in the clear, and its calls are signed.
    throw invalidField('webhook.url', inWords('a URL with credentials'), 'a URL without user name and password');
  }
  if (secret.length > maxSecretLength || !secretPattern.test(secret)) {
    throw invalidField(
      'webhook.secret',
      // Not the given text: it may be a secret.
      inWords(`${secret.length} characters`),
      `1 to ${maxSecretLength} printable ASCII characters, base64 after whsec_`,
    );
  }
  if (!allowLocal) {
    requireRemote(hostname);
  }
  return { url: href, secret, ...(events.length > 0 && { events: checkEvents(events) }) };
}

function checkEvents(events: readonly string[]): WebhookEvent[] {
  const unknown = events.find((event) => !(webhookEvents as readonly string[]).includes(event));
  if (unknown !== undefined) {
    throw invalidField('webhook.events', unknown, `one or more of ${webhookEvents.join(', ')}`);
  }
  return [...new Set(events as WebhookEvent[])];
}

/** Throws INVALID_ARGUMENT unless there are at most 16 labels with short names and values. */
export function checkMetadata(metadata: Iterable<readonly [string, string]>): Readonly<Record<string, string>> {
  const facts = [...metadata];
  if (facts.length > maxLabels) {
    throw invalidField('metadata', inWords(`${facts.length} pairs`), `at most ${maxLabels} pairs`);
  }
  for (const [name, value] of facts) {
    if (name === '__proto__') {
      // As over HTTP, where readers of JSON would leave it out.
      throw unknownField('metadata.__proto__');
    }
    // Forms and queries have the names in brackets.
    if (name.length === 0 || name.length > maxLabelName || unprintable.test(name) || /[[\]]/.test(name)) {
      const mustBe = `names of 1 to ${maxLabelName} characters in valid Unicode, without control characters and square brackets`;
      throw invalidField('metadata', name, mustBe);
    }
    if (value.length > maxLabelValue || unprintable.test(value)) {
      const mustBe = `at most ${maxLabelValue} characters in valid Unicode, without control characters`;
      const isLong = value.length > maxLabelValue;
      throw invalidField(`metadata.${name}`, isLong ? inWords(`${value.length} characters`) : value, mustBe);
    }
  }
  return Object.fromEntries(facts);
}
