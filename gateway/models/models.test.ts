import { describe, expect, test } from '@jest/globals';
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

test('a video like a stored one gets its version or, if that is closed, another one of its model', () => {
  const idFor = (model: string, version: string) => models.idForAnother({ model, version });
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
    [{ routes: [{ ...good, draining: true }] }, 'nano must accept new videos'],
  ])('%#: refuses %j', (given, message) => {
    expect(() => parseRoutes(given, '/')).toThrow(message);
  });
});
