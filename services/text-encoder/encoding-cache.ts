import { LRUCache } from 'lru-cache';
import { add } from '../kit/telemetry/metrics.ts';
import { byteSize, type Tensor } from '../pipeline/tensor.ts';
import { SharedCalls } from './shared-calls.ts';

/** The encoding of a text. */
export interface Encoding {
  /** [tokens, context_dim], zero where masked. */
  context: Tensor<'float32'>;
  /** [tokens] */
  contextMask: Tensor<'bool'>;
  /** Whether the network's output was not finite and was replaced by zeros, all masked. */
  isOverflowed: boolean;
}

/** A least-recently-used cache of encodings, bounded in bytes. Concurrent requests for one text share one call. */
export class EncodingCache {
  readonly #encodings: LRUCache<string, Encoding>;
  readonly #calls = new SharedCalls<Encoding>();

  /** @param maxBytes of all encodings together; a larger one is not kept. */
  constructor(maxBytes: number) {
    this.#encodings = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ context, contextMask }, key) =>
        2 * key.length + byteSize('float32', context.shape) + byteSize('bool', contextMask.shape),
    });
  }

  /** The cached encoding for `key`, or the result of `encode`, which is then cached. Failures are not cached. */
  async get(key: string, signal: AbortSignal, encode: (signal: AbortSignal) => Promise<Encoding>): Promise<Encoding> {
    const kept = this.#encodings.get(key);
    const result = kept ? 'hit' : this.#calls.has(key) ? 'shared' : 'miss';
    add('fusionframes.cache.requests', 1, {
      'fusionframes.cache': 'text-encoding',
      'fusionframes.cache.result': result,
    });
    return (
      kept ??
      (await this.#calls.join(key, signal, async (shared) => {
        const encoding = await encode(shared);
        this.#encodings.set(key, encoding);
        return encoding;
      }))
    );
  }
}
