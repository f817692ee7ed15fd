/** A class or function, referenced by name. */
export class Global {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }
}

/** An object created by a call. */
export class Call {
  readonly callee: Global;
  readonly args: readonly unknown[];
  /** State set on the object afterwards. */
  readonly state: unknown;

  constructor(callee: Global, args: readonly unknown[], state?: unknown) {
    this.callee = callee;
    this.args = args;
    this.state = state;
  }
}

/** An object of a class, created without a call, and its state. */
export class Instance {
  readonly of: Global;
  readonly state: unknown;

  constructor(of: Global, state: unknown) {
    this.of = of;
    this.state = state;
  }
}

/** A tuple; arrays are lists. */
export class Tuple {
  readonly items: readonly unknown[];

  constructor(...items: unknown[]) {
    this.items = items;
  }
}

/** An object outside the pickle. */
export class PersistentId {
  readonly id: unknown;

  constructor(id: unknown) {
    this.id = id;
  }
}

/** Writes a protocol 2 pickle with the opcodes that `torch.save` uses; a Map that occurs twice is written once. */
export function pickle(value: unknown): Buffer {
  const writer = new PickleWriter();
  writer.write(value);
  return writer.finish();
}

class PickleWriter {
  readonly #pieces: Buffer[] = [Buffer.from([0x80, 2])];
  readonly #memo = new Map<unknown, number>();

  finish(): Buffer {
    return Buffer.concat([...this.#pieces, Buffer.from('.')]);
  }

  write(value: unknown): void {
    const kept = this.#memo.get(value);
    if (kept !== undefined) {
      this.#put('j', uint32(kept));
    } else if (value === null) {
      this.#put('N');
    } else if (typeof value === 'boolean') {
      this.#put(value ? '\x88' : '\x89');
    } else if (typeof value === 'number' || typeof value === 'bigint') {
      this.#integer(value);
    } else if (typeof value === 'string') {
      this.#put('X', uint32(Buffer.byteLength(value)), Buffer.from(value));
      this.#keep(value);
    } else if (value instanceof Tuple) {
      this.#tuple(value.items);
    } else if (value instanceof Map) {
      this.#put('}');
      this.#keep(value);
      this.#put('(');
      for (const [key, item] of value) {
        this.write(key);
        this.write(item);
      }
      this.#put('u');
    } else if (Array.isArray(value)) {
      this.#put(']');
      this.#keep(value);
      this.#put('(');
      for (const item of value) {
        this.write(item);
      }
      this.#put('e');
    } else if (value instanceof Global) {
      this.#put(`c${value.module}\n${value.name}\n`);
      this.#keep(value);
    } else if (value instanceof PersistentId) {
      this.write(value.id);
      this.#put('Q');
    } else if (value instanceof Call) {
      this.write(value.callee);
      this.#tuple(value.args);
      this.#put('R');
      this.#keep(value);
      if (value.state !== undefined) {
        this.write(value.state);
        this.#put('b');
      }
    } else if (value instanceof Instance) {
      this.write(value.of);
      this.#put(')\x81');
      this.#keep(value);
      this.write(value.state);
      this.#put('b');
    } else {
      throw new TypeError(`no pickle of ${String(value)}`);
    }
  }

  #integer(value: number | bigint): void {
    if (value >= 0 && value < 256) {
      this.#put('K', Buffer.from([Number(value)]));
    } else if (value >= -(2 ** 31) && value < 2 ** 31) {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(Number(value));
      this.#put('J', bytes);
    } else {
      const bytes = Buffer.alloc(9);
      bytes.writeUInt8(8);
      bytes.writeBigInt64LE(BigInt(value), 1);
      this.#put('\x8a', bytes);
    }
  }

  #tuple(items: readonly unknown[]): void {
    if (items.length > 3) {
      this.#put('(');
    }
    for (const item of items) {
      this.write(item);
    }
    this.#put([')', '\x85', '\x86', '\x87', 't'][Math.min(items.length, 4)]!);
  }

  #keep(value: unknown): void {
    const index = this.#memo.size;
    this.#memo.set(value, index);
    this.#put('r', uint32(index));
  }

  #put(code: string, ...rest: Buffer[]): void {
    this.#pieces.push(Buffer.from(code, 'latin1'), ...rest);
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
