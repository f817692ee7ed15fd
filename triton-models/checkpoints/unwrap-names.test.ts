import { expect, test } from '@jest/globals';
import { unwrapNames } from './unwrap-names.ts';

const parameters = ['in_layer.weight', 'in_layer.bias', 'out_layer.weight', 'null_embedding'];
const network = parameters.slice(0, 3);
/** A file with the network alone, and the published one with two. */
const alone = { names: { '': '' }, others: [] };
const published = { names: { 'unet.': '', null_embedding: 'null_embedding' }, others: ['projections.'] };
const under = (prefix: string, names: readonly string[] = parameters) => names.map((name) => prefix + name);
const publishedNames = [...under('unet.', network), 'null_embedding', 'projections.t5.weight'];

function unwrap(stored: string[], selection: Parameters<typeof unwrapNames>[2]) {
  const { rename, note } = unwrapNames(stored, parameters, selection);
  return { names: stored.map(rename), note };
}

test('published names stay, without a message', () => {
  expect(unwrap(parameters, alone)).toEqual({ names: parameters, note: undefined });
  expect(unwrap(publishedNames, published)).toEqual({ names: publishedNames, note: undefined });
});

test.each(['module.', 'model.', '_orig_mod.', 'state_dict.', 'model._orig_mod.module.', 'state_dict.unet.'])(
  '%s around all names of a network',
  (prefix) => {
    const note = `all names begin with \`${prefix}\`: taken without it`;
    expect(unwrap(under(prefix), alone)).toEqual({ names: parameters, note });
  },
);

test.each(['module.', 'state_dict.model.'])('%s around the published names', (prefix) => {
  const note = `all names begin with \`${prefix}\`: taken without it`;
  expect(unwrap(under(prefix, publishedNames), published)).toEqual({ names: publishedNames, note });
});

test('inside the published names', () => {
  const stored = [...under('unet.module.', network), 'null_embedding', 'projections.t5.weight'];
  const note = 'names that begin with `unet.module.` are taken as `unet.`';
  expect(unwrap(stored, published)).toEqual({ names: publishedNames, note });
});

test('around and inside at once', () => {
  const stored = [...under('state_dict.unet._orig_mod.', network), 'state_dict.null_embedding'];
  expect(unwrap(stored, published).names).toEqual([...under('unet.', network), 'null_embedding']);
});

test('a bare network where the published file has a prefix', () => {
  const note = 'names lack their beginning: taken as `unet.`';
  expect(unwrap(parameters, published)).toEqual({ names: [...under('unet.', network), 'null_embedding'], note });
});

test.each([
  'ema',
  'model_ema',
  'ema_unet',
  'EMA',
  'polyak',
  'emaModel',
  'unetEMA2',
  'swa_model',
  'avg',
  'shadow_params',
])('unet beside %s, which is left out', (ema) => {
  const stored = [...under('unet.'), ...under(`${ema}.`)];
  const nothing = parameters.map(() => undefined);
  const left = `left out: \`${ema}\` (4 tensors)`;
  const without = 'names that begin with `unet.` are taken without it';
  expect(unwrap(stored, alone)).toEqual({ names: [...parameters, ...nothing], note: `${without}; ${left}` });
  const beside = [...publishedNames, ...under(`${ema}.`)];
  expect(unwrap(beside, published)).toEqual({ names: [...publishedNames, ...nothing], note: left });
});

test.each(['training.ema', 'optimizer.ema', 'state.EMA', 'callbacks.emaCallback.module'])(
  'plain weights beside %s, which is left out and named as it is',
  (ema) => {
    const part = ema.replace('.module', '');
    const stored = [...parameters, ...under(`${ema}.`), `${part}.decay`];
    const nothing = [...parameters, 'decay'].map(() => undefined);
    const note = `left out: \`${part}\` (5 tensors)`;
    expect(unwrap(stored, alone)).toEqual({ names: [...parameters, ...nothing], note });
    // Also if the average is of a part of the network.
    const some = [...parameters, `${ema}.${parameters[0]}`];
    expect(unwrap(some, alone).note).toBe(`left out: \`${part}\` (1 tensor)`);
  },
);

test('an average under a prefix that all names share is named with that prefix', () => {
  const stored = [...under('state_dict.unet.'), ...under('state_dict.ema.'), 'state_dict.ema.decay'];
  const { names, note } = unwrap(stored, alone);
  expect(names).toEqual([...parameters, ...new Array(5).fill(undefined)]);
  expect(note).toBe(
    'names that begin with `state_dict.unet.` are taken without it; left out: `state_dict.ema` (5 tensors)',
  );
});

test('the state of an optimizer is neither weights nor an average', () => {
  const state = under('optimizer.exp_avg.');
  expect(unwrap([...parameters, ...state], alone)).toEqual({ names: [...parameters, ...state], note: undefined });
  expect(unwrap(under('optimizer.ema.'), alone).names).not.toEqual(parameters);
});

test('an average without the network is used', () => {
  expect(unwrap(under('ema.module.'), alone).names).toEqual(parameters);
});

test('unrelated tensors keep their names, for the list of faults', () => {
  const stored = [...under('module.'), 'module.extra.weight', 'optimizer.state.0.exp_avg'];
  expect(unwrap(stored, alone).names.slice(4)).toEqual(['extra.weight', 'optimizer.state.0.exp_avg']);
  expect(unwrap(['a.weight', 'b.bias'], alone)).toEqual({ names: ['a.weight', 'b.bias'], note: undefined });
});

test('two copies that fit equally well are rejected', () => {
  expect(() => unwrap([...under('student.'), ...under('teacher.')], alone)).toThrow(
    'it holds the network 2 times, under `student.` and `teacher.`: save one of them alone',
  );
});

test('names as long as a file take no longer to read than it', () => {
  const stored = [...under('module.'), 'a.'.repeat(5_000_000)];
  const { names } = unwrap(stored, alone);
  expect(names.slice(0, parameters.length)).toEqual(parameters);
});
