import { expect } from '@jest/globals';
import { gatewaySettings, routesSettings, stageAddressSettings } from '../../gateway/settings.ts';
import { inferenceSettings } from '../../services/inference/settings.ts';
import type { Setting } from '../../services/kit/settings.ts';
import { textEncoderSettings } from '../../services/text-encoder/text-encoder-settings.ts';
import { stageSettings } from '../../services/triton/stage-settings.ts';

const settings = new Map<string, Setting<unknown>>(
  [
    stageSettings,
    gatewaySettings,
    routesSettings,
    stageAddressSettings,
    textEncoderSettings,
    inferenceSettings,
  ].flatMap((group) =>
    Object.values(group as Record<string, Setting<unknown>>).map((setting) => [setting.name, setting] as const),
  ),
);

/** Expects that a service reads the variable and accepts the value, and that secrets are named by file. */
export function expectSetting(name: string, value: unknown): void {
  const secret = settings.get(name.replace(/_FILE$/, ''));
  if (secret?.isSecret) {
    expect(name).toMatch(/_FILE$/);
    return;
  }
  const setting = settings.get(name);
  if (setting === undefined) {
    // Variables of Node, client libraries and glibc.
    expect(name).toMatch(/^(AWS_|OTEL_|MALLOC_|NODE_EXTRA_CA_CERTS$)/);
    return;
  }
  expect(typeof value).toBe('string');
  expect(() => setting.schema.parse(value)).not.toThrow();
}
