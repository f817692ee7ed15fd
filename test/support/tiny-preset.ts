import { join } from 'node:path';
import { packageRoot } from '../../services/kit/package-root.ts';

/**
 * A preset with networks of a few layers and random weights: 5 keyframes of 64×64 noise. It loads and runs in a fraction
 * of the time that nano takes, for tests of what happens around the networks.
 */
export const tinyPreset = join(packageRoot, 'test', 'fixtures', 'presets', 'tiny.json');

/** Makes a process use {@link tinyPreset}. */
export const tinyPresetEnvironment = { FUSIONFRAMES_PRESET: tinyPreset };
