import { Command } from 'commander';
import { Status } from 'nice-grpc-common';
import type { StageProgress, Video } from '../gateway/client/video.ts';
import { type ListOptions, maxPageSize, type NewVideo, type VideoClient } from '../gateway/client/video-client.ts';
import { FusionError, renameField } from '../services/kit/errors.ts';
import { fieldName } from '../services/kit/field-name.ts';
import { tryParse } from '../services/kit/schema.ts';
import { formatTable } from '../services/kit/table.ts';
import { time, wholeNumber } from '../services/kit/values.ts';
import { type JobStateName, jobStateNames } from '../services/pipeline/job-states.ts';
import { loraText } from '../services/pipeline/loras.ts';
import { mapOptions, valueAt } from '../services/pipeline/options.ts';
import { type FrameRateName, frameRateNames } from '../services/pipeline/preset.ts';
import { type JobSettings, videoFormats, videoOptions } from '../services/pipeline/video-options.ts';
import { gatewayOption } from './gateway-address.ts';
import { withGateway } from './gateway-client.ts';
import { progressDisplay, stageLabel } from './progress.ts';
import { describePlace, followPlace, isPaused } from './queue-place.ts';
import { finished, sayAbsent, warningsDisplay } from './run-job.ts';
import { formatText, formatTime } from './table-cells.ts';
import { formatBytes } from './units.ts';
import { videoFacts } from './video-facts.ts';
import { choiceFlag, metadataFlag, parseFlag, parseMetadata } from './video-options.ts';
import { addWebhookFlags, readWebhook, type WebhookFlags } from './webhook-flags.ts';

interface GatewayOptions {
  address: string;
  json?: boolean;
}

interface ListFlags extends GatewayOptions {
  limit: string;
  state?: JobStateName;
  model?: string;
  metadata?: string[];
  createdAfter?: string;
  createdBefore?: string;
}

interface OwnFlags extends GatewayOptions, WebhookFlags {
  metadata?: string[];
}

const maxListed = 10_000;
const promptWidth = 48;

export function jobsCommand(): Command {
  return new Command('jobs')
    .description('Show and control the jobs of a gateway; with FUSIONFRAMES_API_KEY, those of that key.')
    .addCommand(
      gatewayCommand('list', 'List jobs, newest first.')
        .option('--limit <n>', `maximum number of jobs, 1 to ${maxListed}`, '20')
        .addOption(choiceFlag('--state <state>', 'only jobs in this state', jobStateNames))
        .option('--model <model>', 'only jobs of this model, or of this version of it')
        .addOption(metadataFlag('only jobs with this label'))
        .option('--created-after <time>', 'only jobs created at or after this time: 2026-11-29 or 2026-11-29T08:30:00Z')
        .option('--created-before <time>', 'only jobs created before this time')
        .action(list),
    )
    .addCommand(gatewayCommand('show', 'Show a job.').argument('<id>').action(show))
    .addCommand(
      gatewayCommand(
        'watch',
        'Follow a job to its end, even across a restart of the gateway. Ctrl-C leaves it running.',
      )
        .argument('<id>')
        .action(watch),
    )
    .addCommand(
      gatewayCommand('cancel', 'Stop jobs.')
        .argument('[ids...]')
        .option('--all', 'all queued and running jobs of the key; with an admin key, of all keys')
        .action(cancel),
    )
    .addCommand(
      addOwnFlags(
        gatewayCommand('retry', 'Create a new job with the same model, settings, seed and priority.')
          .argument('<id>')
          .option('--prompt <text>', 'another prompt for the same settings and seed'),
        'none',
      ).action(retry),
    )
    .addCommand(
      addOwnFlags(
        gatewayCommand(
          'finish',
          'Create a new job that goes on from the keyframes of a succeeded one with another frame rate. Its video is that of the same settings and seed with this frame rate.',
        )
          .argument('<id>')
          .addOption(choiceFlag('--fps <rate>', "frame rate (default: the preset's)", frameRateNames))
          .addOption(choiceFlag('--format <format>', 'format (default: that of the job)', videoFormats)),
        'those of the job',
      ).action(finish),
    );
}

/** Adds the flags for what a job that repeats another one has of its own. */
function addOwnFlags(command: Command, usualLabels: string): Command {
  return addWebhookFlags(
    command.addOption(metadataFlag(`a label to store with the new job (default: ${usualLabels})`)),
  );
}

function gatewayCommand(name: string, description: string): Command {
  return new Command(name).description(description).addOption(gatewayOption()).option('--json', 'print JSON');
}

/** Flags by the fields of the contract. */
const listFlags = {
  model: '--model',
  metadata: '--metadata',
  created_after: '--created-after',
  created_before: '--created-before',
};
const ownFlags = { metadata: '--metadata', 'webhook.url': '--webhook', 'webhook.events': '--webhook-events' };

async function list({
  limit,
  state,
  model,
  metadata,
  createdAfter,
  createdBefore,
  ...options
}: ListFlags): Promise<void> {
  const count = parseFlag('--limit', wholeNumber(1, maxListed), limit);
  const filter: ListOptions = {
    ...(state && { state }),
    ...(model !== undefined && { model }),
    ...(metadata && { metadata: parseMetadata(metadata) }),
    ...(createdAfter !== undefined && { createdAfter: parseFlag('--created-after', time(), createdAfter) }),
    ...(createdBefore !== undefined && { createdBefore: parseFlag('--created-before', time(), createdBefore) }),
  };
  const show = async (client: VideoClient, signal: AbortSignal) => {
    const videos = await newest(client, count, { ...filter, signal });
    if (options.json) {
      print(videos.map(videoFacts));
    } else {
      process.stdout.write(formatTable(['id', 'state', 'progress', 'created', 'prompt'], videos.map(row)));
    }
  };
  await withGateway(options, show, listFlags);
}

async function show(id: string, options: GatewayOptions): Promise<void> {
  await withGateway(options, async (client, signal) => {
    const video = await client.get(id, { signal });
    if (options.json) {
      print(videoFacts(video));
    } else {
      process.stdout.write(description(video));
    }
  });
}

async function watch(id: string, options: GatewayOptions): Promise<void> {
  const display = progressDisplay(process.stderr);
  const showWarnings = warningsDisplay(process.stderr);
  await withGateway(options, async (client, signal) => {
    let last: Video | undefined;
    const place = followPlace(client, display.update);
    const onAbsence = () => {
      display.finish();
      sayAbsent(options.address);
    };
    try {
      for await (const video of client.watch(id, { signal, onAbsence })) {
        last = video;
        showWarnings(video);
        place.update(video);
      }
    } finally {
      place.end();
      display.finish();
    }
    const video = last as Video;
    if (options.json) {
      print(videoFacts(video));
    }
    finished(video);
    if (!options.json) {
      process.stdout.write(`${id} succeeded (${video.frames} frames, seed ${video.settings.seed})\n`);
    }
  });
}

async function cancel(ids: string[], { all, ...options }: GatewayOptions & { all?: boolean }): Promise<void> {
  if (all ? ids.length > 0 : ids.length === 0) {
    const message = all ? 'Pass either job ids or --all, not both' : 'Pass job ids or --all';
    throw new FusionError(Status.INVALID_ARGUMENT, message);
  }
  await withGateway(options, async (client, signal) => {
    for (const id of all ? await unfinished(client, signal) : ids) {
      try {
        printState(await client.cancel(id, { signal }), options);
      } catch (error) {
        // Some of many jobs finish in the meantime.
        if (!all || !(error instanceof FusionError) || error.reason !== 'WRONG_STATE') {
          throw error;
        }
      }
    }
  });
}

/** Ids of unfinished jobs, queued ones first, so that they do not start while others are cancelled. */
async function unfinished(client: VideoClient, signal: AbortSignal): Promise<string[]> {
  const inState = async (state: 'queued' | 'running') =>
    (await newest(client, Number.POSITIVE_INFINITY, { state, signal })).map(({ id }) => id);
  return [...(await inState('queued')), ...(await inState('running'))];
}

async function retry(id: string, { prompt, ...options }: OwnFlags & { prompt?: string }): Promise<void> {
  const own = readOwnFlags(options);
  await withGateway(
    options,
    async (client, signal) => {
      const { settings, priority, model, lora, files, givenKeyframes } = await client.get(id, { signal });
      const hasPicture = files.some(({ file }) => file === 'input_reference');
      const request = {
        ...toNewVideo(settings),
        ...(prompt !== undefined && { prompt }),
        ...(hasPicture && { [givenKeyframes === null ? 'inputReference' : 'givenKeyframes']: { videoId: id } }),
        priority,
        ...own,
      };
      const create = (model: string | undefined, lora: Video['lora']) =>
        client.create({ ...request, lora, ...(model && { model }) }, { signal });
      const made = await create(model ?? undefined, []).catch((error) => {
        const [name, version] = model?.split('@') ?? [];
        if (!isModelClosed(error) || version === undefined) {
          throw error;
        }
        // Another version of the model, with the same LoRAs.
        return create(name, lora);
      });
      printState(made, options);
    },
    ownFlags,
  ).catch((error) => {
    throw isModelClosed(error) ? renameField(error, 'id', `The model of ${id},`) : error;
  });
}

function isModelClosed(error: unknown): error is FusionError {
  return error instanceof FusionError && (error.reason === 'MODEL_DRAINING' || error.reason === 'NO_SUCH_MODEL');
}

async function finish(
  id: string,
  { fps, format, ...options }: OwnFlags & { fps?: FrameRateName; format?: JobSettings['format'] },
): Promise<void> {
  const video = { ...(fps && { frameRate: fps }), ...(format && { format }), ...readOwnFlags(options) };
  await withGateway(
    options,
    async (client, signal) => {
      printState(await client.finish(id, video, { signal }), options);
    },
    ownFlags,
  );
}

/** What a job that repeats another one has of its own. */
function readOwnFlags({ metadata, ...options }: OwnFlags): Pick<NewVideo, 'metadata' | 'webhook'> {
  const webhook = readWebhook(options);
  return { ...(metadata && { metadata: parseMetadata(metadata) }), ...(webhook && { webhook }) };
}

async function newest(client: VideoClient, count: number, options: ListOptions): Promise<Video[]> {
  const found: Video[] = [];
  for await (const video of client.list({ pageSize: Math.min(maxPageSize, count), ...options })) {
    found.push(video);
    if (found.length >= count) {
      break;
    }
  }
  return found;
}

/** A request with the settings of a job, as JSON. Throws FAILED_PRECONDITION for settings that this release cannot read. */
export function toNewVideo(settings: object): NewVideo {
  return mapOptions(videoOptions, ({ kind, isOffered, before }, path) => {
    const value = valueAt(settings, path) ?? before;
    if (value === undefined && isOffered) {
      return undefined;
    }
    const parsed = tryParse(kind.given, value);
    if ('value' in parsed) {
      return parsed.value;
    }
    throw new FusionError(Status.FAILED_PRECONDITION, `This release cannot read the video's \`${fieldName(path)}\``, {
      reason: 'NEWER_SETTINGS',
    });
  }) as NewVideo;
}

function row(video: Video): string[] {
  const prompt = formatText(video.settings.prompt ?? '', promptWidth);
  return [video.id, isPaused(video) ? 'paused' : video.state, progress(video), formatTime(video.createdAt), prompt];
}

/** Of the stage that started last, or the position in the queue. */
function progress({ state, stages, queue }: Video): string {
  if (state === 'queued' && queue) {
    return `position ${queue.position}`;
  }
  const last = stages.at(-1);
  return last ? `${stageLabel(last.stage)} ${last.step}/${last.total}` : '-';
}

function description(video: Video): string {
  const { settings, ...facts } = videoFacts(video);
  const rows = [
    ['id', facts.id],
    ['state', isPaused(video) ? 'paused to make room for another job' : facts.state],
    ['model', facts.model ?? '-'],
    ['queue', video.state === 'queued' && video.queue ? describePlace(video.queue) : ''],
    ['created', formatTime(video.createdAt)],
    ['started', formatTime(video.startedAt)],
    ['finished', formatTime(video.finishedAt)],
    ['ready', video.state === 'running' ? formatTime(video.queue?.readyAt ?? null) : ''],
    ['deadline', formatTime(video.deadline)],
    ['kept until', formatTime(video.expiresAt)],
    ['attempt', String(facts.attempt)],
    ['pauses', facts.pauses > 0 ? String(facts.pauses) : ''],
    ['priority', String(facts.priority)],
    ['prompt', plain(settings.prompt ?? '')],
    ['not', plain(settings.negativePrompt ?? '')],
    ['seed', settings.seed ?? ''],
    ['size', `${settings.width}×${settings.height}, ${settings.frameRate} frame rate, ${settings.format}`],
    ['given', facts.givenKeyframes === null ? '' : `${facts.givenKeyframes} keyframes`],
    ['lora', loraText(facts.lora)],
    ...facts.stages.map((progress) => [progress.stage, stageState(progress)]),
    ...facts.files.map(({ file, mediaType, bytes }) => [file, `${mediaType}, ${formatBytes(bytes)}`]),
    ...facts.warnings.map((warning) => ['warning', plain(warning)]),
    ...(facts.failure ? [['failure', `${facts.failure.reason}: ${plain(facts.failure.message)}`]] : []),
  ];
  const filled = rows.filter(([, value]) => value !== '' && value !== '-') as [string, string][];
  const width = Math.max(...filled.map(([name]) => name.length));
  return filled.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

function stageState({ step, total, seconds, waiting, reused }: Omit<StageProgress, 'stage'>): string {
  if (waiting) {
    return 'waiting: no replica available';
  }
  return reused ? 'the result of another video' : `${step}/${total} in ${seconds.toFixed(1)} s`;
}

function plain(text: string): string {
  return formatText(text, Number.POSITIVE_INFINITY);
}

function printState(video: Video, { json }: GatewayOptions): void {
  if (json) {
    print(videoFacts(video));
  } else {
    process.stdout.write(`${video.id} ${video.state}\n`);
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
