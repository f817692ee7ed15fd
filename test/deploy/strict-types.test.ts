import { expect, test } from '@jest/globals';
import { overlays, renderModels, renderOverlay, whereRendered } from './rendered.ts';
import { typeFaults } from './strict-types.ts';

whereRendered('every key and value is one of its kind', () => {
  test('of all overlays', async () => {
    const all = new Map(
      [
        ...(['models', 'models-1.1', 'models-volume'] as const).flatMap(renderModels),
        ...overlays.flatMap(renderOverlay),
      ].map((manifest) => [JSON.stringify(manifest), manifest]),
    );
    expect(await typeFaults([...all.values()])).toBe('');
  });

  test('unknown keys and values of a wrong type are found', async () => {
    const [service] = renderOverlay('laptop').filter(({ kind }) => kind === 'Service');
    const misspelt = { ...service!, spec: { ...service!.spec, selektor: {} } };
    const mistyped = { ...service!, spec: { ...service!.spec, ports: [{ port: 'http' }] } };
    const faults = await typeFaults([misspelt, mistyped]);
    expect(faults).toContain('\'"selektor"\' does not exist');
    expect(faults).toContain("'string' is not assignable to type 'number'");
  });
});
