import { expect, test } from '@jest/globals';
import { PickleObject, PickleTuple, type PickleTypes, unpickle } from './unpickle.ts';

const described: PickleTypes = {
  resolve: (module, name) => `${module}.${name}`,
  call: (resolved, args) => ({ resolved, args }),
  instantiate: (resolved, args) => new PickleObject(String(resolved), args),
  load: (identifier) => ({ identifier }),
};
const read = (...pieces: string[]) => unpickle(Buffer.from(pieces.join(''), 'latin1'), described);

test.each<[string, string, unknown]>([
  ['protocol 0 integers', '(I5\nI01\nL-7L\nL18446744073709551616L\nl.', [5, true, -7, 2n ** 64n]],
  [
    'integers of every width',
    '](K\xffM\x00\x01J\xfe\xff\xff\xff\x8a\x00\x8a\x01\x80\x8a\x02\xff\x00e.',
    [255, 256, -2, 0, -128, 255],
  ],
  ['a long beyond 64 bits', `\x8a\x09${'\x00'.repeat(8)}\x01.`, 2n ** 64n],
  ['floats', '](F1.5\nG\x3f\xe0\x00\x00\x00\x00\x00\x00e.', [1.5, 0.5]],
  ['texts', '](U\x01aT\x01\x00\x00\x00bX\x02\x00\x00\x00\xcf\x80\x8c\x01ce.', ['a', 'b', 'π', 'c']],
  ['constants', '](N\x88\x89e.', [null, true, false]],
  ['tuples', '](K\x01\x85K\x01K\x02\x86)(K\x01te.', [[1], [1, 2], [], [1]].map((items) => new PickleTuple(items))],
  ['dictionaries', '](}U\x01aK\x01s(U\x01bK\x02de.', [new Map([['a', 1]]), new Map([['b', 2]])]],
  ['memo', ']q\x00(K\x01q\x01h\x01p7\ng7\ne.', [1, 1, 1]],
  ['a stack that is tidied up', '](K\x01K\x020K\x032(K\x09K\x0a1e.', [1, 3, 3]],
])('%s', (_, pickle, expected) => {
  expect(read(pickle)).toEqual(expected);
});

test('classes, calls and external objects go through the given types', () => {
  expect(read('ca\nb\nK\x01\x85R}b.')).toEqual({ resolved: 'a.b', args: [1] });
  expect(read('\x8c\x01a\x8c\x01b\x93)\x81.')).toEqual(new PickleObject('a.b'));
  expect(read('K\x05Q.')).toEqual({ identifier: 5 });
});

test('objects keep arguments, state and items, but nothing is run', () => {
  const object = new PickleObject('a.b', [1]);
  object.inside.push(new Map([['x', 2]]));
  object.items.push(3);
  object.entries.set('k', 4);
  expect(read('ca\nb\nK\x01\x85\x81}U\x01xK\x02sbK\x03aU\x01kK\x04s.')).toEqual(object);
  expect(read('ca\nb\n)}U\x01xK\x02s\x92.')).toEqual(new PickleObject('a.b', [new Map([['x', 2]])]));
});

test('sets and bytes', () => {
  const set = new PickleObject('builtins.set');
  set.items.push(1, 2);
  expect(read('\x8f(K\x01K\x02\x90.')).toEqual(set);
  expect(read('(K\x01\x91.')).toEqual(new PickleObject('builtins.frozenset', [1]));
  expect(read('C\x02ab.')).toEqual(Buffer.from('ab'));
});

test('text keys that JavaScript objects treat specially are keys like any other', () => {
  expect(read('}U\x09__proto__K\x01s.')).toEqual(new Map([['__proto__', 1]]));
});

test.each<[string, string, string]>([
  ['an end without STOP', 'K\x01', 'it ends after 2 bytes'],
  ['a text longer than the pickle', 'X\xff\xff\xff\x7fabc.', 'announced: cut short'],
  ['a line without end', 'cos', 'announced: cut short'],
  ['an unknown instruction', '\xff.', 'instruction 0xff at byte 0 is not supported'],
  ['an instance of a class by name', '(ios\nsystem\n.', 'instruction INST at byte 1 is not supported'],
  ['an extension', '\x82\x01.', 'instruction EXT1 at byte 0'],
  ['an empty stack', '.', 'but the stack is empty'],
  ['a call on an empty stack', 'R.', 'but the stack is empty'],
  ['a mark taken as a value', '(.', 'but the stack is empty'],
  ['no mark', 'K\x01t.', 'needs a mark'],
  ['items into a number', 'K\x01K\x02a.', 'items are appended to a value that is not a list or set'],
  ['pairs into a list', ']K\x01K\x02s.', 'keys and values are set on a value that is not a dictionary'],
  ['a key without value', '}(K\x01u.', 'keys and values are set on a value that is not a dictionary'],
  ['an empty memo', 'h\x05.', 'nothing is kept under 5'],
  ['arguments that are not a tuple', 'ca\nb\n]R.', 'arguments are not a tuple'],
  ['a class with a number for a name', 'K\x01K\x02\x93.', 'the name of a class is not text'],
  ['an integer of many digits', `L${'9'.repeat(2000)}L\n.`, 'an integer must have at most 1000 digits (got 2001)'],
  ['an integer of many bytes', '\x8b\x00\x00\x00\x01.', '(got 16777216)'],
  ['letters in an integer', 'I0x10\n.', 'an integer has characters other than digits'],
])('%s is refused', (_, pickle, message) => {
  expect(() => read(pickle)).toThrow(message);
});
