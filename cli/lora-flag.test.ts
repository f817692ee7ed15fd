import { expect, test } from '@jest/globals';
import { calledModels } from '../services/pipeline/called-models.ts';
import { listPresets, loadPreset } from '../services/pipeline/preset.ts';
import { stageNames } from '../services/pipeline/stages.ts';
import { collectLora, collectNamedLora } from './lora-flag.ts';
import { stageServices } from './stages.ts';

test.each([
  ['style.safetensors', { path: 'style.safetensors', scale: 1 }],
  ['style.safetensors:0.8', { path: 'style.safetensors', scale: 0.8 }],
  ['keyframe_unet=a=b.safetensors:-1.5', { path: 'a=b.safetensors', scale: -1.5, model: 'keyframe_unet' }],
  ['folder:1/style.safetensors', { path: 'folder:1/style.safetensors', scale: 1 }],
])('%s', (given, expected) => {
  expect(collectLora(given)).toEqual([expected]);
  expect(collectLora(given, [{ path: 'first', scale: 1 }])).toHaveLength(2);
});

test.each(['', ':0.5', 'style:', 'style:0', 'style:11', 'style:NaN', 'style:strong', 'keyframe_unet='])(
  '"%s" is refused',
  (given) => {
    expect(() => collectLora(given)).toThrow(
      `\`--lora\` must be [model=]file[:scale], with a scale from -10 to 10 that is not 0 (got "${given}")`,
    );
  },
);

test('a LoRA that requests ask for by its name', () => {
  const ink = { name: 'ink', path: 'style.safetensors', scale: 0.8, model: 'keyframe_unet' };
  expect(collectNamedLora('ink=keyframe_unet=style.safetensors:0.8')).toEqual([ink]);
  expect(collectNamedLora('ink=style.safetensors', [ink])).toHaveLength(2);
  expect(() => collectNamedLora('ink=other.safetensors:0.8', [ink])).toThrow('`--lora` must be another name or scale');
  expect(() => collectNamedLora('style.safetensors')).toThrow(
    '`--lora` must be name=[model=]file[:scale], with a name',
  );
  expect(() => collectNamedLora('in k=style.safetensors')).toThrow('with a name of 1 to 32 letters');
});

test('a version with a LoRA has every model that its own stages expect', () => {
  for (const preset of listPresets().map((name) => loadPreset(name))) {
    for (const stage of stageNames) {
      const expected = stageServices[stage].expectedModels(preset).map((model) => model.name);
      expect(calledModels(stage, preset)).toEqual(expect.arrayContaining(expected));
    }
  }
});
