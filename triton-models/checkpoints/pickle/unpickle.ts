import { ByteReader } from './byte-reader.ts';
import { opcodes } from './opcodes.ts';

/** Handles what a pickle contains besides plain values. */
export interface PickleTypes {
  /**
   * Returns a placeholder for the class or function of this name, or throws. The placeholder is never called; it comes
   * back as the first argument of `call` or `instantiate`.
   */
  resolve(module: string, name: string): unknown;
  /** The result of calling this class or function with these arguments. */
  call(resolved: unknown, args: readonly unknown[]): unknown;
  /** A new object of this class; its state is set later. */
  instantiate(resolved: unknown, args: readonly unknown[]): unknown;
  /** The external object with this persistent id. */
  load(identifier: unknown): unknown;
}

/** A tuple; lists are arrays. */
export class PickleTuple {
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** A placeholder for an object of any other class: the class is unknown and never run, only its data is kept. */
export class PickleObject {
  /** Name of the class, with its module. */
  readonly className: string;
  /** Its items, if it is a kind of dictionary. */
  readonly entries = new Map<unknown, unknown>();
  /** Its items, if it is a kind of list or set. */
  readonly items: unknown[] = [];
  /** Its arguments and its state. */
  readonly inside: unknown[];

  constructor(className: string, args: readonly unknown[] = []) {
    this.className = className;
    this.inside = [...args];
  }
}

/**
 * Reads the value of a pickle (protocols 0 to 5, as far as data need them): dictionaries become Maps, lists arrays,
 * tuples {@link PickleTuple}, integers numbers or (if inexact) bigints, sets and other objects {@link PickleObject}.
 * Only builds data; nothing is called or loaded. Throws an Error that says what is wrong with the bytes.
 */
export function unpickle(bytes: Uint8Array, types: PickleTypes): unknown {
  return unpickleFirst(bytes, types).value;
}

/** The same for bytes that more follows after the pickle; a RangeError says that the bytes ended before it did. */
export function unpickleFirst(bytes: Uint8Array, types: PickleTypes): { value: unknown; length: number } {
  const reader = new ByteReader(bytes);
  const machine = new Machine(reader, types);
  for (;;) {
    const { done, value } = machine.step();
    if (done) {
      return { value, length: reader.position };
    }
  }
}

const mark = Symbol('mark');
/** Far more digits than any number in a checkpoint has; parsing takes quadratic time. */
const maxDigits = 1000;

class Machine {
  readonly #reader: ByteReader;
  readonly #types: PickleTypes;
  readonly #stack: unknown[] = [];
  readonly #memo = new Map<number, unknown>();

  constructor(reader: ByteReader, types: PickleTypes) {
    this.#reader = reader;
    this.#types = types;
  }

  /** Executes the next opcode. */
  step(): { done: boolean; value?: unknown } {
    const position = this.#reader.position;
    const code = this.#reader.uint8();
    const name = opcodes[code];
    if (name === 'STOP') {
      return { done: true, value: this.#pop() };
    }
    const instruction = name === undefined ? undefined : this.#instructions[name];
    if (instruction === undefined) {
      throw new Error(`instruction ${name ?? `0x${code.toString(16)}`} at byte ${position} is not supported`);
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
    LONG4: () => this.#push(this.#reader.integer(limitDigits(this.#reader.uint32()))),
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
    BYTEARRAY8: () => this.#push(this.#reader.bytes(this.#reader.uint64())),

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
    EMPTY_SET: () => this.#push(new PickleObject('builtins.set')),
    ADDITEMS: () => this.#append(this.#popToMark()),
    FROZENSET: () => this.#push(new PickleObject('builtins.frozenset', this.#popToMark())),

    PUT: () => this.#memo.set(Number(this.#reader.line()), this.#top()),
    BINPUT: () => this.#memo.set(this.#reader.uint8(), this.#top()),
    LONG_BINPUT: () => this.#memo.set(this.#reader.uint32(), this.#top()),
    MEMOIZE: () => this.#memo.set(this.#memo.size, this.#top()),
    GET: () => this.#push(this.#recall(Number(this.#reader.line()))),
    BINGET: () => this.#push(this.#recall(this.#reader.uint8())),
    LONG_BINGET: () => this.#push(this.#recall(this.#reader.uint32())),

    GLOBAL: () => this.#push(this.#types.resolve(this.#reader.line(), this.#reader.line())),
    STACK_GLOBAL: () => this.#pushGlobal(),
    REDUCE: () => this.#construct('call'),
    NEWOBJ: () => this.#construct('instantiate'),
    NEWOBJ_EX: () => this.#instantiateWithKeywords(),
    BUILD: () => this.#setState(this.#pop()),
    BINPERSID: () => this.#push(this.#types.load(this.#pop())),
  };

  #push(value: unknown): void {
    this.#stack.push(value);
  }

  #top(): unknown {
    const value = this.#stack.at(-1);
    if (value === undefined || value === mark) {
      throw new Error('an instruction needs a value, but the stack is empty');
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
      throw new Error('an instruction needs a mark, but the stack has none');
    }
    const items = this.#stack.splice(at);
    items.shift();
    return items;
  }

  #append(items: readonly unknown[]): void {
    const top = this.#top();
    const list = top instanceof PickleObject ? top.items : top;
    if (!Array.isArray(list)) {
      throw new Error('items are appended to a value that is not a list or set');
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
    const top = this.#top();
    const map = top instanceof PickleObject ? top.entries : top;
    if (!(map instanceof Map) || items.length % 2 === 1) {
      throw new Error('keys and values are set on a value that is not a dictionary');
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
      throw new Error('the name of a class is not text');
    }
    this.#push(this.#types.resolve(module, name));
  }

  #construct(how: 'call' | 'instantiate'): void {
    const [resolved, args] = this.#popMany(2);
    if (!(args instanceof PickleTuple)) {
      throw new Error('arguments are not a tuple');
    }
    this.#push(this.#types[how](resolved, args.items));
  }

  #instantiateWithKeywords(): void {
    const [resolved, args, keywords] = this.#popMany(3);
    if (!(args instanceof PickleTuple)) {
      throw new Error('arguments are not a tuple');
    }
    this.#push(this.#types.instantiate(resolved, [...args.items, keywords]));
  }

  /** Tensors and plain values need no state. */
  #setState(state: unknown): void {
    const top = this.#top();
    if (top instanceof PickleObject) {
      top.inside.push(state);
    }
  }
}

function limitDigits(digits: number): number {
  if (digits > maxDigits) {
    throw new Error(`an integer must have at most ${maxDigits} digits (got ${digits})`);
  }
  return digits;
}

/** Python writes booleans as `00` and `01`, and `L` after long integers. */
function parseIntegerLine(line: string): number | bigint | boolean {
  if (line === '00' || line === '01') {
    return line === '01';
  }
  limitDigits(line.length);
  if (!/^-?\d+L?$/.test(line)) {
    throw new Error('an integer has characters other than digits');
  }
  const value = BigInt(line.replace('L', ''));
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
