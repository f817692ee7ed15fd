import { ByteReader } from './byte-reader.ts';
import { opcodes } from './opcodes.ts';

/** What a pickle may contain besides plain values. */
export interface PickleTypes {
  /**
   * Stands for the class or function of this name, or throws. What it gives is never called by the pickle: it comes
   * back as the first argument of `construct`.
   */
  resolve(module: string, name: string): unknown;
  /** The object that this class or function, called with these arguments, makes. */
  construct(resolved: unknown, args: readonly unknown[]): unknown;
  /** The object outside of the pickle that this identifier means. */
  load(identifier: unknown): unknown;
}

/** A tuple; lists are arrays. */
export class PickleTuple {
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/**
 * The value that a pickle (Python's protocols 0 to 5, as far as data need them) describes: dictionaries as Maps, lists
 * as arrays, tuples as {@link PickleTuple}, integers as numbers or, where that is inexact, bigints. It only builds data;
 * nothing is called or loaded, and the state that a pickle wants to give to an object is dropped. Throws an Error saying
 * what is wrong with the bytes.
 */
export function unpickle(bytes: Uint8Array, types: PickleTypes): unknown {
  const machine = new Machine(new ByteReader(bytes), types);
  for (;;) {
    const { done, value } = machine.step();
    if (done) {
      return value;
    }
  }
}

const mark = Symbol('mark');

class Machine {
  readonly #reader: ByteReader;
  readonly #types: PickleTypes;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(reader: ByteReader, types: PickleTypes) {
    this.#reader = reader;
    this.#types = types;
  }

  /** Runs the next instruction. */
  step(): { done: boolean; value?: unknown } {
    const position = this.#reader.position;
    const code = this.#reader.uint8();
    const name = opcodes[code];
    if (name === 'STOP') {
      return { done: true, value: this.#pop() };
    }
    const instruction = name === undefined ? undefined : this.#instructions[name];
    if (instruction === undefined) {
      throw new Error(`instruction ${name ?? `0x${code.toString(16)}`} at byte ${position} is none that data need`);
    }
    instruction();
    return { done: false };
  }

  readonly #instructions: Record<string, () => void> = {
    PROTO: () => this.#reader.uint8(),
    FRAME: () => this.#reader.uint64(),
    MARK: () => this.#push(mark),
    POP: () => this.#stack.pop(),
    POP_MARK: () => this.#popToMark(),
    DUP: () => this.#push(this.#top()),

    NONE: () => this.#push(null),
    NEWTRUE: () => this.#push(true),
    NEWFALSE: () => this.#push(false),
    INT: () => this.#push(parseIntegerLine(this.#reader.line())),
    LONG: () => this.#push(parseIntegerLine(this.#reader.line())),
    BININT: () => this.#push(this.#reader.int32()),
    BININT1: () => this.#push(this.#reader.uint8()),
    BININT2: () => this.#push(this.#reader.uint16()),
    LONG1: () => this.#push(this.#reader.integer(this.#reader.uint8())),
    LONG4: () => this.#push(this.#reader.integer(this.#reader.uint32())),
    FLOAT: () => this.#push(Number(this.#reader.line())),
    BINFLOAT: () => this.#push(this.#reader.float64()),
    BINSTRING: () => this.#push(this.#reader.text(this.#reader.uint32())),
    SHORT_BINSTRING: () => this.#push(this.#reader.text(this.#reader.uint8())),
    BINUNICODE: () => this.#push(this.#reader.text(this.#reader.uint32())),
    SHORT_BINUNICODE: () => this.#push(this.#reader.text(this.#reader.uint8())),
    BINUNICODE8: () => this.#push(this.#reader.text(this.#reader.uint64())),
    BINBYTES: () => this.#push(this.#reader.bytes(this.#reader.uint32())),
    SHORT_BINBYTES: () => this.#push(this.#reader.bytes(this.#reader.uint8())),
    BINBYTES8: () => this.#push(this.#reader.bytes(this.#reader.uint64())),

    EMPTY_TUPLE: () => this.#push(new PickleTuple([])),
    TUPLE1: () => this.#push(new PickleTuple(this.#popMany(1))),
    TUPLE2: () => this.#push(new PickleTuple(this.#popMany(2))),
    TUPLE3: () => this.#push(new PickleTuple(this.#popMany(3))),
    TUPLE: () => this.#push(new PickleTuple(this.#popToMark())),
    EMPTY_LIST: () => this.#push([]),
    LIST: () => this.#push(this.#popToMark()),
    APPEND: () => this.#append([this.#pop()]),
    APPENDS: () => this.#append(this.#popToMark()),
    EMPTY_DICT: () => this.#push(new Map()),
    DICT: () => this.#pushDictionary(),
    SETITEM: () => this.#setItems(this.#popMany(2)),
    SETITEMS: () => this.#setItems(this.#popToMark()),

    PUT: () => this.#memo.set(Number(this.#reader.line()), this.#top()),
    BINPUT: () => this.#memo.set(this.#reader.uint8(), this.#top()),
    LONG_BINPUT: () => this.#memo.set(this.#reader.uint32(), this.#top()),
    MEMOIZE: () => this.#memo.set(this.#memo.size, this.#top()),
    GET: () => this.#push(this.#recall(Number(this.#reader.line()))),
    BINGET: () => this.#push(this.#recall(this.#reader.uint8())),
    LONG_BINGET: () => this.#push(this.#recall(this.#reader.uint32())),

    GLOBAL: () => this.#push(this.#types.resolve(this.#reader.line(), this.#reader.line())),
    STACK_GLOBAL: () => this.#pushGlobal(),
    REDUCE: () => this.#construct(),
    NEWOBJ: () => this.#construct(),
    BUILD: () => this.#pop(),
    BINPERSID: () => this.#push(this.#types.load(this.#pop())),
  };

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #top(): unknown {
    const value = this.#stack.at(-1);
    if (value === undefined || value === mark) {
      throw new Error('an instruction finds nothing on the stack');
    }
    return value;
  }

  #pop(): unknown {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): unknown[] {
    return Array.from({ length: count }, () => this.#pop()).reverse();
  }

  #popToMark(): unknown[] {
    const at = this.#stack.lastIndexOf(mark);
    if (at < 0) {
      throw new Error('an instruction finds no mark on the stack');
    }
    const items = this.#stack.splice(at);
    items.shift();
    return items;
  }

  #append(items: readonly unknown[]): void {
    const list = this.#top();
    if (!Array.isArray(list)) {
      throw new Error('items are put into what is no list');
    }
    for (const item of items) {
      list.push(item);
    }
  }

  #pushDictionary(): void {
    const items = this.#popToMark();
    this.#push(new Map());
    this.#setItems(items);
  }

  #setItems(items: readonly unknown[]): void {
    const map = this.#top();
    if (!(map instanceof Map) || items.length % 2 === 1) {
      throw new Error('items are put into what is no dictionary');
    }
    for (let i = 0; i < items.length; i += 2) {
      map.set(items[i], items[i + 1]);
    }
  }

  #recall(index: number): unknown {
    if (!this.#memo.has(index)) {
      throw new Error(`nothing is kept under ${index}`);
    }
    return this.#memo.get(index);
  }

  #pushGlobal(): void {
    const [module, name] = this.#popMany(2);
    if (typeof module !== 'string' || typeof name !== 'string') {
      throw new Error('a class is named by what is no text');
    }
    this.#push(this.#types.resolve(module, name));
  }

  #construct(): void {
    const [resolved, args] = this.#popMany(2);
    if (!(args instanceof PickleTuple)) {
      throw new Error('arguments are no tuple');
    }
    this.#push(this.#types.construct(resolved, args.items));
  }
}

/** Python writes booleans as `00` and `01`, and `L` after long integers. */
function parseIntegerLine(line: string): number | bigint | boolean {
  if (line === '00' || line === '01') {
    return line === '01';
  }
  if (!/^-?\d+L?$/.test(line)) {
    throw new Error('an integer has other characters than digits');
  }
  const value = BigInt(line.replace('L', ''));
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
