import { toFusionError } from '../../kit/errors.ts';
import type { CallOptions } from '../calls/connection.ts';
import type { SystemSharedMemoryCalls } from '../calls/shared-memory-calls.ts';
import { probeSharedMemory } from './probe.ts';
import { createSharedFile, type SharedFile } from './shared-file.ts';

/** A registered region, used by one request at a time. */
export interface Region {
  /** Also names the region. */
  readonly file: SharedFile;
  /** Requests that came back through it. */
  uses: number;
}

export interface RegionPoolOptions {
  /** Limit on the bytes of all regions together. */
  maxBytes: number;
  /** Time after which an abandoned request cannot still be running on the server, seconds. */
  retireSeconds: number;
}

const granularity = 1 << 20;
/** Registering is nearly instant. */
const callSeconds = 10;

/**
 * Shared memory regions, registered once and reused. They are unlinked as soon as the server has opened them, so that the
 * system frees them when both processes have ended, however they ended.
 */
export class RegionPool {
  readonly #calls: SystemSharedMemoryCalls;
  readonly #options: RegionPoolOptions;
  readonly #free: Region[] = [];
  readonly #retired = new Map<Region, NodeJS.Timeout>();
  #probe: Promise<string | undefined> | undefined;
  #isClosed = false;
  #bytes = 0;
  /** Whether an answer has shown that the server writes where this process reads. */
  isProven = false;

  constructor(calls: SystemSharedMemoryCalls, options: RegionPoolOptions) {
    this.#calls = calls;
    this.#options = options;
  }

  /** Why no memory is shared with the server; undefined when it is. Probes until the server has answered once. */
  async whyNot(): Promise<string | undefined> {
    this.#probe ??= probeSharedMemory(this.#calls, { timeoutSeconds: callSeconds });
    try {
      return await this.#probe;
    } catch (error) {
      this.#probe = undefined;
      return toFusionError(error).message;
    }
  }

  /** Hands out no further regions. */
  disable(reason: string): void {
    this.#probe = Promise.resolve(reason);
  }

  /** A region of at least this many bytes; undefined if none is available. Does not wait for other requests. */
  async acquire(byteSize: number, signal: AbortSignal | undefined): Promise<Region | undefined> {
    if (this.#isClosed || (await this.whyNot()) !== undefined) {
      return undefined;
    }
    const call = { timeoutSeconds: callSeconds, ...(signal && { signal }) };
    return this.#takeFree(byteSize) ?? (await this.#create(byteSize, call));
  }

  /** Returns a region that the server is done with. */
  release(region: Region): void {
    region.uses++;
    if (this.#isClosed) {
      this.#dispose(region);
    } else {
      this.#free.push(region);
    }
  }

  /** Returns a region that the server may still write to, because its request was abandoned: it is never reused. */
  retire(region: Region): void {
    const timer = setTimeout(() => {
      this.#retired.delete(region);
      void this.#unregister(region);
    }, this.#options.retireSeconds * 1000).unref();
    this.#retired.set(region, timer);
  }

  /** Returns a region that the server no longer knows, because it was restarted or replaced. */
  drop(region: Region): void {
    if (region.uses === 0) {
      this.disable('the server forgets regions, or there are several servers behind the address');
    }
    this.#dispose(region);
  }

  /**
   * Unregisters unused regions. A region that the server may still write to stays registered: not every version of Triton
   * survives losing it. The next process that starts here unregisters it.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const [region, timer] of this.#retired) {
      clearTimeout(timer);
      this.#dispose(region);
    }
    await Promise.all(this.#free.splice(0).map((region) => this.#unregister(region)));
  }

  #takeFree(byteSize: number): Region | undefined {
    const fitting = this.#free.filter((region) => region.file.byteSize >= byteSize);
    const smallest = fitting.sort((a, b) => a.file.byteSize - b.file.byteSize)[0];
    if (smallest) {
      this.#free.splice(this.#free.indexOf(smallest), 1);
    }
    return smallest;
  }

  async #create(wanted: number, call: CallOptions): Promise<Region | undefined> {
    const byteSize = Math.ceil(wanted / granularity) * granularity;
    while (this.#free.length > 0 && this.#bytes + byteSize > this.#options.maxBytes) {
      void this.#unregister(this.#free.shift()!);
    }
    const file = this.#bytes + byteSize <= this.#options.maxBytes ? createSharedFile(byteSize) : undefined;
    if (!file) {
      return undefined;
    }
    this.#bytes += byteSize;
    const region = { file, uses: 0 };
    try {
      await this.#calls.register({ name: file.name, key: `/${file.name}`, byteSize }, call);
      return region;
    } catch {
      // The server may have registered it if only its answer was lost.
      void this.#unregister(region);
      return undefined;
    } finally {
      file.unlink();
    }
  }

  async #unregister(region: Region): Promise<void> {
    this.#dispose(region);
    await this.#calls.unregister(region.file.name, { timeoutSeconds: callSeconds }).catch(() => {});
  }

  #dispose(region: Region): void {
    this.#bytes -= region.file.byteSize;
    region.file.close();
  }
}
