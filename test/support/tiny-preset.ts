import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/**
 * A preset with networks of a few layers and random weights: 5 keyframes of 64×64 noise. It loads and runs much faster than
 * nano, for tests that don't look at the pictures.
 */
export const tinyPreset = join(packageRoot, 'test', 'fixtures', 'presets', 'tiny.json');

/** Makes a process use {@link tinyPreset}. */
export const tinyPresetEnvironment = { FUSIONFRAMES_PRESET: tinyPreset };
