import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { commonSettings } from '../services/kit/common-settings.ts';
import { packageRoot } from '../services/kit/package-root.ts';
import type { Setting, Settings } from '../services/kit/settings.ts';
import { telemetrySettings } from '../services/kit/telemetry/telemetry-settings.ts';
import { modelsSettings } from '../services/pipeline/models-folder.ts';
import { type CliResult, callCli, runCli } from '../test/support/cli.ts';
import { hubSettings } from '../triton-models/pull/hub-settings.ts';
import { clientSettings } from './client-settings.ts';
import { exitCode, exitCodeOf } from './exit.ts';
import { prepareService } from './run-service.ts';
import { loadService, serviceNames } from './services/load-service.ts';
import type { ServedService } from './services/served-service.ts';

/** Values of settings that accept only some text. */
const wrongTexts: Readonly<Record<string, string>> = {
  FUSIONFRAMES_TLS_SERVER_NAME: 'two words',
  FUSIONFRAMES_PRESET: 'mega',
  FUSIONFRAMES_METRICS_ADDRESS: '9464',
  FUSIONFRAMES_TLS_CERTIFICATE: '/nowhere/certificate.pem',
  FUSIONFRAMES_TLS_KEY: '/nowhere/key.pem',
  FUSIONFRAMES_TLS_CA: '/nowhere/ca.pem',
  FUSIONFRAMES_TLS_ALLOWED_CALLERS: 'spiffe://fusionframes/gateway',
  FUSIONFRAMES_INFERENCE_ADDRESS: 'inference',
  FUSIONFRAMES_TOKENIZER: '/nowhere/tokenizer.json',
  FUSIONFRAMES_HTTP_ADDRESS: '8080',
  FUSIONFRAMES_GATEWAY_NAME: 'two words',
  FUSIONFRAMES_ROUTES: '/nowhere/routes.json',
  FUSIONFRAMES_TEXT_ENCODER_ADDRESS: 'http://text-encoder:50051',
  FUSIONFRAMES_KEYFRAMES_ADDRESS: 'keyframes',
  FUSIONFRAMES_INTERPOLATION_ADDRESS: 'dns:///interpolation',
  FUSIONFRAMES_DECODER_ADDRESS: 'ipv4:127.0.0.1',
  DATABASE_URL: 'mysql://user:password@host/database',
  FUSIONFRAMES_STORAGE: 'gs://bucket',
  FUSIONFRAMES_MODEL_REPOSITORY: '/nowhere/models',
  FUSIONFRAMES_API_KEY: 'two words',
  FUSIONFRAMES_WEBHOOK_SECRET: 'Schlüssel',
  FUSIONFRAMES_MODERATION_URL: 'moderation.example.org',
  FUSIONFRAMES_MODERATION_TOKEN: 'two words',
  HF_ENDPOINT: 'huggingface.co',
  HTTP_PROXY: 'proxy:3128',
  HTTPS_PROXY: 'socks5://proxy',
};

/** Invalid only once the folder exists, see below. */
const folders = ['FUSIONFRAMES_DATA_FOLDER'];

/** They accept any text: the file system, collectors and the hub validate them. */
const anyText = [
  'FUSIONFRAMES_MODELS_FOLDER',
  'FUSIONFRAMES_PROVENANCE_CERTIFICATE',
  'FUSIONFRAMES_PROVENANCE_KEY',
  'FUSIONFRAMES_WATERMARK',
  'HF_HOME',
  'HF_HUB_DISABLE_IMPLICIT_TOKEN',
  'HF_TOKEN',
  'HF_TOKEN_PATH',
  'NO_PROXY',
];

const environment = { ...process.env };
afterEach(() => {
  process.env = { ...environment };
});

function wrongValue({ name, schema }: Setting<unknown>): string | undefined {
  return wrongTexts[name] ?? (schema.safeParse('wrong').success ? undefined : 'wrong');
}

function settingsIn(groups: readonly Settings[]): Setting<unknown>[] {
  return [...new Map(groups.flatMap((group) => Object.values(group)).map((each) => [each.name, each])).values()];
}

const served: [string, ServedService][] = [
  ['the whole mesh', await loadService(undefined)],
  ...(await Promise.all(serviceNames.map(async (name) => [name, await loadService(name)] as [string, ServedService]))),
];
const cases = served.flatMap(([service, { settings }]) =>
  settingsIn([commonSettings, ...settings]).flatMap((setting) => {
    const value = wrongValue(setting);
    // The whole mesh has its own repository.
    const isRead = !(service === 'the whole mesh' && setting.name === 'FUSIONFRAMES_MODEL_REPOSITORY');
    return value !== undefined && isRead ? [[service, setting.name, value] as const] : [];
  }),
);

test('every setting is tested with an invalid value here, unless it accepts any text', () => {
  const all = settingsIn([
    ...served.flatMap(([, { settings }]) => settings),
    commonSettings,
    clientSettings,
    hubSettings,
    modelsSettings,
    telemetrySettings,
  ]);
  const without = all.filter((setting) => wrongValue(setting) === undefined).map(({ name }) => name);
  expect(without.sort()).toEqual([...anyText, ...folders].sort());
});

test.each(cases)('%s does not start with %s=%s', async (service, name, value) => {
  process.env[name] = value;
  const failure = await prepareService(new Map(served).get(service)!, 'test').catch((error: unknown) => error);
  expect(String(failure)).toContain(name.startsWith('FUSIONFRAMES_TLS_') ? 'FUSIONFRAMES_TLS_' : name);
  expect(exitCodeOf(failure)).toBe(exitCode.usage);
});

describe('a process ends with 2', () => {
  test.each<[string, string, string[]]>([
    ['FUSIONFRAMES_TEXT_CACHE_BYTES', 'x', ['generate', 'cat']],
    ['FUSIONFRAMES_TOKENIZER', '/nowhere/tokenizer.json', ['serve', 'text-encoder']],
    ['FUSIONFRAMES_STORAGE', '/proc/files', ['serve']],
    ['OTEL_METRIC_EXPORT_INTERVAL', '0', ['serve', 'decoder']],
  ])('with %s=%s', async (name, value, command) => {
    expectUsageError(await runCli(command, { [name]: value }), name);
  });
});

describe('a command gives 2', () => {
  test.each<[string, string, string[]]>([
    ['FUSIONFRAMES_API_KEY', 'two words', ['generate', 'cat']],
    ['FUSIONFRAMES_TOKENIZER', '/nope', ['generate', 'cat']],
    ['FUSIONFRAMES_MODELS_FOLDER', '/proc/models', ['serve']],
    ['FUSIONFRAMES_METRICS_ADDRESS', '192.0.2.1:9464', ['serve']],
    ['FUSIONFRAMES_TEXT_CACHE_BYTES', 'x', ['serve']],
    ['FUSIONFRAMES_PRESET', join(packageRoot, 'package.json'), ['serve']],
    ['FUSIONFRAMES_DATA_FOLDER', '/proc/data', ['serve', 'gateway']],
    ['FUSIONFRAMES_PROVENANCE_KEY', '/nowhere/key.pem', ['serve', 'gateway']],
    ['FUSIONFRAMES_WATERMARK', '/nowhere/label.png', ['serve', 'gateway']],
    ['HF_ENDPOINT', 'x', ['models', 'pull', 'nano']],
    ['HTTPS_PROXY', 'proxy:3128', ['models', 'pull', 'nano']],
    ['DATABASE_URL', 'x', ['keys', 'list']],
  ])('with %s=%s', async (name, value, command) => {
    expectUsageError(await callCli(command, { [name]: value }), name);
  });
});

test.each([
  ['models', 'measure', 'foo'],
  ['jobs', 'list', '--address', 'foo'],
  ['generate', 'cat', '--address', 'http://foo:1'],
])('%s %s %s rejects an address without a port', async (...command) => {
  expectUsageError(await callCli(command, {}), 'address');
});

function expectUsageError({ code, stdout, stderr }: CliResult, setting: string) {
  expect(stderr).toContain(setting);
  expect(stdout).toBe('');
  expect(code).toBe(exitCode.usage);
}
