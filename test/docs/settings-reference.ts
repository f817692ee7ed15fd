import { z } from 'zod';
import { clientSettings } from '../../cli/client-settings.ts';
import { gatewaySettings, routesSettings, stageAddressSettings } from '../../gateway/settings.ts';
import { inferenceSettings } from '../../services/inference/settings.ts';
import { commonSettings } from '../../services/kit/common-settings.ts';
import type { Setting, Settings } from '../../services/kit/settings.ts';
import { telemetrySettings } from '../../services/kit/telemetry/telemetry-settings.ts';
import { modelsSettings } from '../../services/pipeline/models-folder.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { textEncoderSettings } from '../../services/text-encoder/text-encoder-settings.ts';
import { stageSettings } from '../../services/triton/stage-settings.ts';
import { hubSettings } from '../../triton-models/pull/hub-settings.ts';

/** Which processes read which settings, in the order of the reference. A setting is listed where it is read first. */
const readers: readonly (readonly [string, string, Settings])[] = [
  ['Every service', 'Gateway, stages and the embedded inference server.', commonSettings],
  ['Every stage', `After \`serve\`: ${stageNames.join(', ')}.`, stageSettings],
  ['The text encoder', 'In addition to those of every stage.', textEncoderSettings],
  ['The gateway', '`serve gateway`; `keys` reads the data folder and the database.', gatewaySettings],
  ['Models and stages', '`serve gateway`.', { ...routesSettings, ...stageAddressSettings }],
  ['The embedded inference server', '`serve inference`.', inferenceSettings],
  ['Clients of a gateway', '`generate --address`, `jobs`; they also read the certificate settings.', clientSettings],
  ['Models', '`serve`, `generate`, `evaluate` and `models`.', modelsSettings],
  ['`models pull`', '', hubSettings],
  ['Traces and metrics', 'Every service, `generate` and `evaluate`.', telemetrySettings],
];

/** Read by libraries. */
const elsewhere = `## Read by libraries
\`s3://\` storage takes credentials, region and endpoint from the usual AWS sources (\`AWS_ACCESS_KEY_ID\`,
\`AWS_SECRET_ACCESS_KEY\`, the file named by \`AWS_SHARED_CREDENTIALS_FILE\`, \`AWS_PROFILE\`, \`AWS_REGION\`, \`AWS_ENDPOINT_URL_S3\`, a pod's role, …). With a custom endpoint,
the bucket is part of the path.

OpenTelemetry's SDK reads its other standard variables (\`OTEL_SERVICE_NAME\`, \`OTEL_RESOURCE_ATTRIBUTES\`,
\`OTEL_TRACES_SAMPLER\`, \`OTEL_BSP_*\`, …).
`;

/** The text of docs/settings.md. */
export function settingsReference(): string {
  const known = new Set<string>();
  const sections = readers.map(([title, who, settings]) => {
    const own = Object.values(settings).filter(({ name }) => !known.has(name));
    for (const { name } of own) {
      known.add(name);
    }
    const rows = own.map((setting) => `| ${nameText(setting)} | ${typeText(setting)} | ${setting.description} |`);
    const table = ['| variable | type, default | meaning |', '|---|---|---|', ...rows].join('\n');
    return `## ${title}\n${who && `${who}\n\n`}${table}\n`;
  });
  return [
    `# Settings
Every environment variable that FusionFrames reads. An empty variable counts as absent. With an invalid value the process exits at
startup and reports the variable, its value (except for secrets) and what it must be. A secret can be read from a file instead:
append \`_FILE\` to the variable's name. Generated from the code by \`npm run docs\`.
`,
    ...sections,
    elsewhere,
  ].join('\n');
}

function nameText({ name, isSecret }: Setting<unknown>): string {
  return isSecret ? `\`${name}\` or \`${name}_FILE\`` : `\`${name}\``;
}

interface JsonSchema {
  type?: string;
  enum?: string[];
  minimum?: number;
  maximum?: number;
}

function typeText({ schema }: Setting<unknown>): string {
  const { type, enum: words, minimum, maximum } = z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
  const kind =
    words?.map((word) => `\`${word}\``).join(', ') ??
    (type === 'string' ? 'text' : `${type === 'integer' ? 'whole number' : 'number'}, ${minimum} to ${maximum}`);
  const fallback = String(schema.parse(undefined) ?? '');
  return `${kind}; ${fallback === '' ? 'empty' : `\`${fallback}\``}`;
}
