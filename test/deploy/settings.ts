import { expect } from '@jest/globals';
import { gatewaySettings, stageAddressSettings } from '../../gateway/settings.ts';
import { inferenceSettings } from '../../services/inference/settings.ts';
import type { Setting } from '../../services/kit/settings.ts';
import { textEncoderSettings } from '../../services/text-encoder/text-encoder-settings.ts';
import { stageSettings } from '../../services/triton/stage-settings.ts';

const settings = new Map<string, Setting<unknown>>(
  [stageSettings, gatewaySettings, stageAddressSettings, textEncoderSettings, inferenceSettings].flatMap((group) =>
    Object.values(group as Record<string, Setting<unknown>>).map((setting) => [setting.name, setting] as const),
  ),
);

/** That a service reads the variable and takes the value; of a secret, that it is named by its file. */
export function expectSetting(name: string, value: unknown): void {
  const secret = settings.get(name.replace(/_FILE$/, ''));
  if (secret?.isSecret) {
    expect(name).toMatch(/_FILE$/);
    return;
  }
  const setting = settings.get(name);
  if (setting === undefined) {
    // Of the clients' libraries, and glibc's.
    expect(name).toMatch(/^(AWS_|OTEL_|MALLOC_)/);
    return;
  }
  expect(typeof value).toBe('string');
  expect(() => setting.schema.parse(value)).not.toThrow();
}
