import { describe, expect, test } from '@jest/globals';
import { VideoSettings } from '../../../proto/gen/fusionframes/v1/video.ts';
import { toMessage } from '../../../services/pipeline/options.ts';
import { loadPreset, samplerNames } from '../../../services/pipeline/preset.ts';
import { videoOptions } from '../../../services/pipeline/video-options.ts';
import { resolveSettings } from '../../api/resolve-settings.ts';
import { readStoredSettings, type StoredSettings, storeSettings } from './stored-settings.ts';

const nano = loadPreset('nano');
const settings = resolveSettings(VideoSettings.fromPartial({ prompt: 'a fox', seed: 2n ** 64n - 1n }), nano);

/** A row as JSON brings it back. */
const stored = JSON.parse(JSON.stringify(storeSettings(settings))) as StoredSettings;

test('settings survive the round trip through a message', () => {
  expect(resolveSettings(VideoSettings.fromPartial(toMessage(videoOptions, settings)), nano)).toEqual(settings);
});

describe('stored settings', () => {
  test('survive the round trip', () => {
    expect(stored.seed).toBe('18446744073709551615');
    expect(readStoredSettings(stored)).toEqual({ settings });
    const given = { ...settings, givenKeyframes: 7, loras: [{ name: 'ink', scale: 0.5 }] };
    expect(readStoredSettings(JSON.parse(JSON.stringify(storeSettings(given))))).toEqual({ settings: given });
  });

  test('of a newer release are shown as they are, with what is not understood', () => {
    const newer = {
      ...stored,
      keyframes: { ...(stored.keyframes as object), sampler: 'wishful', eta: 0.5 },
      camera: 'pan',
    };
    expect(readStoredSettings(newer)).toEqual({
      settings: { ...settings, keyframes: { ...settings.keyframes, sampler: 'wishful' } },
      fault:
        '`camera` is not a known field; `keyframes.eta` is not a known field; ' +
        `\`keyframes.sampler\` must be one of ${samplerNames.join(', ')} (it is "wishful")`,
    });
  });

  test('have the options of a first frame only where the preset does', () => {
    const continuing = loadPreset('kandinsky-video-1.1');
    const continued = resolveSettings(
      VideoSettings.fromPartial({ prompt: 'a fox', imageGuidanceScale: 0 }),
      continuing,
    );
    const row = JSON.parse(JSON.stringify(storeSettings(continued)));
    expect(row).toMatchObject({ motion: 'medium', noiseAugmentation: 20, imageGuidanceScale: 0 });
    expect(readStoredSettings(row)).toEqual({ settings: continued });
    expect(Object.keys(stored)).not.toContain('motion');
  });

  test('of a release without perturbation have none', () => {
    const { perturbation, ...older } = stored;
    expect(perturbation).toBe(0);
    const { settings: read, fault } = readStoredSettings(older);
    expect([read.perturbation, fault]).toEqual([undefined, undefined]);
    expect(resolveSettings(VideoSettings.fromPartial(toMessage(videoOptions, read)), nano)).toEqual(settings);
  });

  test('that lack a required value are invalid', () => {
    const { width: _, ...rest } = stored;
    expect(readStoredSettings(rest).fault).toBe('`width` must be a whole number from 1 to 16384 (it is missing)');
  });
});
