import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError, toFusionError } from '../../services/kit/errors.ts';
import { lock } from '../database/locks.ts';
import { transact } from '../database/transact.ts';
import type { StoredWebhook, Webhook } from '../jobs/job.ts';
import type { ObjectStore } from '../storage/object-store.ts';

/** Object keys of the generated encryption key, and of its fingerprint, which shows whether the key is undamaged. */
const objectKey = 'keys/webhook-secrets';
const fingerprintKey = 'keys/webhook-secrets.id';

const algorithm = 'aes-256-gcm';
const nonceBytes = 12;
const tagBytes = 16;

interface Key {
  /** Fingerprint of a key, which reveals nothing about it. */
  id: string;
  bytes: Buffer;
}

export interface WebhookSecretsOptions {
  /** Encryption keys, see {@link parseKeys}; if empty, one is created in the object store when first needed. */
  keys: readonly string[];
  sql: Sql;
  objects: ObjectStore;
}

/**
 * Encrypts webhook secrets in the database (AES-256-GCM, bound to their URL), so that a copy of the database alone does
 * not allow signing. All gateways on a database share the keys: the configured ones, else one in the object store.
 */
export class WebhookSecrets {
  readonly #options: WebhookSecretsOptions;
  readonly #set: readonly Key[];
  #made: Promise<Key> | undefined;

  constructor(options: WebhookSecretsOptions) {
    this.#options = options;
    this.#set = options.keys.map(toKey);
  }

  /** Encrypts with the first key. Throws what the object store and the database throw, and DATA_LOSS for a damaged key. */
  async seal({ url, secret, ...rest }: Webhook): Promise<StoredWebhook> {
    const { id, bytes } = this.#set[0] ?? (await this.#storedKey());
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv(algorithm, bytes, nonce).setAAD(Buffer.from(url));
    const sealed = Buffer.concat([nonce, cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return { url, sealed: `${id}.${sealed.toString('base64url')}`, ...rest };
  }

  /** Decrypts with the key that was used. Secrets from earlier releases are stored in plain text. */
  async open(webhook: StoredWebhook): Promise<Webhook> {
    if ('secret' in webhook) {
      return webhook;
    }
    const { url, sealed, ...rest } = webhook;
    const [id = '', text = ''] = sealed.split('.');
    const key = this.#set.find((each) => each.id === id) ?? (await this.#storedKeyOf(id));
    const bytes = Buffer.from(text, 'base64url');
    const decipher = createDecipheriv(algorithm, key.bytes, bytes.subarray(0, nonceBytes))
      .setAAD(Buffer.from(url))
      .setAuthTag(bytes.subarray(-tagBytes));
    const secret = decipher.update(bytes.subarray(nonceBytes, -tagBytes));
    return { url, secret: Buffer.concat([secret, decipher.final()]).toString(), ...rest };
  }

  async #storedKeyOf(id: string): Promise<Key> {
    const text = await this.#readKey();
    const key = text === undefined ? undefined : toKey(text);
    if (key?.id !== id) {
      throw new FusionError(
        Status.FAILED_PRECONDITION,
        `The webhook's secret was encrypted with key ${id}, which is not among FUSIONFRAMES_WEBHOOK_KEYS and not in the storage`,
      );
    }
    return key;
  }

  #storedKey(): Promise<Key> {
    this.#made ??= this.#readOrMakeKey().catch((error) => {
      this.#made = undefined;
      throw error;
    });
    return this.#made;
  }

  async #readOrMakeKey(): Promise<Key> {
    const { sql, objects } = this.#options;
    const text = await transact(sql, async (transaction) => {
      // One gateway creates the key, the others read it.
      await lock(transaction, 'webhookKey');
      const found = await this.#readKey();
      const text = found ?? randomBytes(32).toString('base64url');
      const put = (key: string, value: string) => objects.put(key, Buffer.from(value), { mediaType: 'text/plain' });
      if (found === undefined) {
        await put(objectKey, text);
      }
      // Absent for keys of earlier releases.
      if (found === undefined || (await this.#read(fingerprintKey)) === undefined) {
        await put(fingerprintKey, toKey(text).id);
      }
      return text;
    });
    return toKey(text);
  }

  /** Read twice before it counts as damaged: it may have been damaged on its way. */
  async #readKey(): Promise<string | undefined> {
    for (let attempt = 1; ; attempt++) {
      const [text, id] = [await this.#read(objectKey), await this.#read(fingerprintKey)];
      if (text === undefined || isWhole(text, id)) {
        return text;
      }
      if (attempt === 2) {
        throw new FusionError(
          Status.DATA_LOSS,
          `The key of webhook secrets, object "${objectKey}", is damaged: restore it from a backup`,
        );
      }
    }
  }

  async #read(name: string): Promise<string | undefined> {
    try {
      const { stream } = await this.#options.objects.open(name);
      return String(await buffer(stream));
    } catch (error) {
      if (toFusionError(error).code === Status.NOT_FOUND) {
        return undefined;
      }
      throw error;
    }
  }
}

/** @param id its fingerprint; absent for keys of earlier releases */
function isWhole(text: string, id: string | undefined): boolean {
  return id === undefined ? /^[\w-]{43}$/.test(text) : toKey(text).id === id;
}

/** Parses keys separated by commas or newlines; `undefined` if one of them is too short. */
export function parseKeys(list: string): string[] | undefined {
  const keys = list.split(/[\s,]+/).filter((text) => text !== '');
  return keys.every((text) => text.length >= 32) ? keys : undefined;
}

function toKey(text: string): Key {
  const bytes = Buffer.from(hkdfSync('sha256', text, '', 'fusionframes webhook secrets', 32));
  return { bytes, id: createHash('sha256').update(bytes).digest('hex').slice(0, 8) };
}
