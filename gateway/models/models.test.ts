import { describe, expect, test } from '@jest/globals';
import { parseLoraText } from '../../services/pipeline/loras.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';
import { type ModelRoute, routeId } from './model-route.ts';
import { Models } from './models.ts';
import { parseRoutes } from './read-routes.ts';

const nano = loadPreset('nano');
const stages = forEachStage(() => '127.0.0.1:1');

function route(version: string, weight: number, more: Partial<ModelRoute> = {}): ModelRoute {
  return { preset: nano, version, weight, isDraining: false, stageAddresses: stages, warnings: [], ...more };
}

const other = { ...nano, name: 'other' };
const models = new Models([
  route('1', 90),
  route('2', 10),
  route('3', 0),
  route('0', 5, { isDraining: true }),
  route('', 1, { preset: other }),
]);
const key = (seed: number) => ({ prompt: 'a red circle', seed: BigInt(seed), clientId: '' });
const chosen = (asked: string, seed: number, from = models) => routeId(from.choose(asked, key(seed)).route);
const refusalOf = (asked: string) => models.choose(asked, key(1)).refusal?.message;

describe('the version of a video', () => {
  test('follows the weights, and is the same for the same prompt and seed', () => {
    const ids = Array.from({ length: 2000 }, (_, seed) => chosen('', seed));
    expect(ids.filter((id) => id === 'nano@2').length / 2000).toBeCloseTo(0.1, 1);
    expect(new Set(ids)).toEqual(new Set(['nano@1', 'nano@2']));
    expect(Array.from({ length: 2000 }, (_, seed) => chosen('nano', seed))).toEqual(ids);
  });

  test('stays with a canary whose weight grows', () => {
    const more = new Models([route('1', 50), route('2', 50)]);
    const canaries = Array.from({ length: 500 }, (_, seed) => seed).filter((seed) => chosen('', seed) === 'nano@2');
    expect(canaries.map((seed) => chosen('', seed, more))).toEqual(canaries.map(() => 'nano@2'));
  });

  test('without a seed is that of the client id, else random', () => {
    const choose = (clientId: string) => routeId(models.choose('', { prompt: 'x', seed: undefined, clientId }).route);
    for (let id = 0; id < 50; id++) {
      expect(choose(`id-${id}`)).toBe(choose(`id-${id}`));
    }
    expect(new Set(Array.from({ length: 300 }, () => choose(''))).size).toBe(2);
  });

  test('can be named, also one without a weight', () => {
    expect(['nano@3', 'nano@2', 'other'].map((id) => chosen(id, 1))).toEqual(['nano@3', 'nano@2', 'other']);
    expect(refusalOf('nano@3')).toBeUndefined();
    expect(refusalOf('nano@9')).toBe(
      '`model` "nano@9" not found; available: nano, nano@1, nano@2, nano@3, nano@0, other',
    );
    expect(refusalOf('nano@0')).toBe('`model` "nano@0" takes no new videos; use nano, nano@1, nano@2 or nano@3');
  });
});

describe('LoRAs', () => {
  const [ink, soft] = [
    { name: 'ink', scale: 1 },
    { name: 'soft', scale: 0.5 },
  ];
  const versions = new Models([
    route('1', 1),
    route('i', 1, { loras: [ink] }),
    route('i2', 0, { loras: [ink] }),
    route('half', 1, { loras: [{ ...ink, scale: 0.5 }] }),
    route('both', 1, { loras: [ink, soft] }),
    route('soft', 1, { loras: [soft], isDraining: true }),
  ]);
  const asking = (text: string, model = '') => {
    const { route: found, refusal } = versions.choose(model, key(1), text === '' ? [] : parseLoraText(text));
    return refusal?.message ?? routeId(found);
  };

  test.each([
    ['', '', 'nano@1'],
    ['ink:1', '', 'nano@i'],
    ['ink:0.5', '', 'nano@half'],
    ['soft,ink', '', 'nano@both'],
    ['', 'nano@i2', 'nano@i2'],
    ['ink', 'nano@i2', 'nano@i2'],
  ])('"%s" of "%s" are made by %s', (text, model, id) => {
    expect(asking(text, model)).toBe(id);
  });

  const offered = 'ink:1, ink:0.5, ink:1,soft:0.5 or soft:0.5';
  test.each([
    ['ink', '', `\`lora\` must be ${offered} (got "ink")`],
    ['ink:0.8', '', `\`lora\` must be ${offered} (got "ink:0.8")`],
    ['ink,ink', '', `\`lora\` must be ${offered} (got "ink,ink")`],
    ['soft', 'nano@half', '`lora` must be ink:0.5 (got "soft")'],
    ['soft', '', '`model` "nano" takes no new videos; use nano, nano@1, nano@i, nano@i2, nano@half or nano@both'],
  ])('"%s" of "%s" is refused', (text, model, message) => {
    expect(asking(text, model)).toBe(message);
  });

  test('are none of a model without them', () => {
    expect(models.choose('other', key(1), [ink]).refusal?.message).toBe(
      '`lora` must be absent: other has none (got "ink:1")',
    );
  });

  test('stay with a remix, even of a version that takes no new videos or was removed', () => {
    const forAnother = (version: string, loras?: (typeof ink)[]) =>
      versions.forAnother({ model: 'nano', version }, loras);
    expect(forAnother('i')).toEqual({ model: 'nano@i', lora: [] });
    expect(forAnother('soft')).toEqual({ model: 'nano', lora: [soft] });
    expect(forAnother('gone', [ink])).toEqual({ model: 'nano', lora: [ink] });
    // The name is another version's now.
    expect(forAnother('half', [soft])).toEqual({ model: 'nano', lora: [soft] });
    expect(versions.lorasOf('nano')).toEqual([[ink], [{ ...ink, scale: 0.5 }], [ink, soft]]);
  });

  test('as text', () => {
    expect(parseLoraText(' ink : 0.5, soft')).toEqual([{ name: 'ink', scale: 0.5 }, { name: 'soft' }]);
    expect(['', 'ink:', 'ink:much', ':1', 'ink,', 'a b'].map(parseLoraText)).toEqual(Array(6).fill(undefined));
  });
});

test('a video like a stored one gets its version or, if that is closed, another one of its model', () => {
  const idFor = (model: string, version: string) => models.forAnother({ model, version }).model;
  expect([idFor('nano', '2'), idFor('nano', '0'), idFor('nano', 'gone')]).toEqual(['nano@2', 'nano', 'nano']);
  expect([idFor('other', ''), idFor('gone', '1')]).toEqual(['other', 'gone@1']);
});

test('stored jobs keep their version', () => {
  expect(models.routeOf({ model: 'nano', version: '0' })).toBe(models.routes[3]);
  expect(models.routeOf({ model: 'nano', version: '9' })).toBeUndefined();
  expect(models.presetOf({ model: 'other', version: 'gone' })).toBe(other);
  expect(models.routeOf({ model: 'nano', version: '' })).toBe(models.routes[0]);
  expect(models.idOf({ model: '', version: '' })).toBe('nano@1');
  expect(models.served).toContainEqual({ model: 'nano', version: '' });
});

describe('a file of routes', () => {
  const good = { preset: 'nano', stages };
  const parse = (...routes: object[]) => parseRoutes({ routes }, '/');

  test('gives routes with defaults', () => {
    expect(parse({ ...good, version: '1', weight: 3 }, { ...good, version: '2', draining: true })).toMatchObject([
      { version: '1', weight: 3, isDraining: false, preset: { name: 'nano' }, stageAddresses: stages },
      { version: '2', weight: 1, isDraining: true },
    ]);
  });

  test('gives the LoRAs of versions in the order of their names', () => {
    const lora = [
      { name: 'soft', scale: -1 },
      { name: 'ink', scale: 0.5 },
    ];
    const [plain, inked] = parse({ ...good, version: '1' }, { ...good, version: 'ink', lora });
    expect([plain!.loras, inked!.loras]).toEqual([undefined, lora.toReversed()]);
  });

  test.each([
    [{}, 'must be a list'],
    [{ routes: [] }, '`routes` must be a list of 1 to 100 routes'],
    [
      { routes: [{ ...good, stages: { ...stages, upscaler: 'h:1' } }] },
      '`routes.0.stages.upscaler` is not a known field',
    ],
    [{ routes: [{ ...good, stages: { decoder: 'h:1' } }] }, '`routes.0.stages.keyframes` must be host:port'],
    [{ routes: [{ ...good, stages: { ...stages, decoder: 'here' } }] }, '`routes.0.stages.decoder` must be host:port'],
    [{ routes: [{ ...good, preset: 'nanu' }] }, '`routes.0.preset` must be one of'],
    [{ routes: [{ ...good, version: 'a@b' }] }, '`routes.0.version` must be 1 to 32 letters'],
    [{ routes: [{ ...good, weight: -1 }] }, '`routes.0.weight` must be at least 0'],
    [{ routes: [{ ...good, wait: 1 }] }, '`routes.0.wait` is not a known field'],
    [{ routes: [good, good] }, 'nano must have one route (got 2)'],
    [{ routes: [good, { ...good, version: '2' }] }, 'each of the 2 routes of nano must have a `version`'],
    [
      {
        routes: [
          { ...good, version: '1', weight: 0 },
          { ...good, version: '2', draining: true },
        ],
      },
      'the weights of nano must add up to more than 0',
    ],
    [{ routes: [{ ...good, lora: [{ name: 'in k', scale: 1 }] }] }, '`routes.0.lora.0.name` must be 1 to 32 letters'],
    [{ routes: [{ ...good, lora: Array(2).fill({ name: 'ink', scale: 1 }) }] }, '`routes.0.lora` must name ink once'],
    [
      {
        routes: [
          { ...good, version: '1' },
          { ...good, version: 'ink', weight: 0, lora: [{ name: 'ink', scale: 1 }] },
        ],
      },
      'the weights of nano with ink:1 must add up to more than 0',
    ],
    [{ routes: [{ ...good, draining: true }] }, 'nano must accept new videos'],
  ])('%#: refuses %j', (given, message) => {
    expect(() => parseRoutes(given, '/')).toThrow(message);
  });
});
