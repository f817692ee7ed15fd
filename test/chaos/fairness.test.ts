import { expect, test } from '@jest/globals';
import { compareShares, type Turn } from './fairness.ts';

const shares = new Map([
  ['a', 1],
  ['b', 3],
]);
const accepted = [...'aaaaaaaaaaaabbbbbbbbbbbb'].map((keyId): Turn => ({ keyId, kind: 'accepted', work: 1 }));
const run = (order: string) =>
  compareShares([...accepted, ...[...order].map((keyId): Turn => ({ keyId, kind: 'begun', work: 1 }))], shares);

test('work in proportion to the shares is fair; none is owed for idle times', () => {
  expect(run('abbbabbbabbbabbbaaaaaaaa')).toEqual({ compared: 16, unfair: [] });
});

test('alternating between keys of unequal share is unfair, and so is one key alone', () => {
  expect(run('abababab').unfair[0]).toBe('3 jobs later, key 1 was ahead by 1.7 of work by share, with 1.3 allowed');
  expect(run('bbbbbb').unfair[0]).toContain('key 2 was ahead by 1.7');
});
