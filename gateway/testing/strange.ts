/** Values that a field may be sent with, most of them invalid. */
export const strangeValues: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  -0,
  2 ** 53,
  '',
  ' ',
  '0',
  '-1',
  '1e3',
  '0x10',
  'NaN',
  '٣',
  'x',
  '128x128',
  '99999x99999',
  '18446744073709551616',
  '\u0000',
  '\ud800',
  '../../etc/passwd',
  "'; drop table jobs; --",
  '{{7*7}}',
  'x'.repeat(20_000),
  [],
  [1],
  ['x', ['y']],
  {},
  { url: 'http://x', secret: 5 },
  { __proto__: null, toString: 1 },
];

/** `count` reproducible mutations of some bytes, with a few changed, removed or duplicated. */
export function* mutations(bytes: Buffer, count: number): Generator<Buffer> {
  let state = 1;
  const random = (below: number) => {
    // Lehmer's generator is good enough for positions and bytes.
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  for (let index = 0; index < count; index++) {
    const changed = [...bytes];
    for (let changes = 1 + random(4); changes > 0; changes--) {
      const at = random(changed.length);
      const kind = random(3);
      changed.splice(at, kind === 0 ? 0 : 1, ...(kind === 1 ? [] : [random(256)]));
    }
    yield Buffer.from(changed);
  }
}
