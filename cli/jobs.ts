import { Command, Option } from 'commander';
import { JobState, type Video } from '../proto/gen/fusionframes/v1/video.ts';
import { repeatable } from '../services/kit/channel.ts';
import { FusionError, invalidField } from '../services/kit/errors.ts';
import { formatTable } from '../services/kit/table.ts';
import { wholeNumber } from '../services/kit/values.ts';
import { exitCode } from './exit.ts';
import { followVideo } from './follow-video.ts';
import { connectGateway, type GatewayClient } from './gateway-client.ts';
import { interruptSignal } from './interrupt.ts';
import { progressDisplay, stageName } from './progress.ts';
import { createVideo, finished, warningsDisplay } from './run-job.ts';
import { formatText, formatTime } from './table-cells.ts';
import { formatBytes } from './units.ts';
import { stateName, videoFacts } from './video-facts.ts';
import { parseFlag } from './video-options.ts';

interface GatewayOptions {
  address: string;
  json?: boolean;
}

const maxListed = 10_000;
/** Of a page. */
const maxPageSize = 100;
const promptWidth = 48;

export function jobsCommand(): Command {
  return new Command('jobs')
    .description('Show and control the jobs of a gateway; with FUSIONFRAMES_API_KEY, those of that key.')
    .addCommand(
      gatewayCommand('list', 'List jobs, newest first.')
        .option('--limit <n>', `maximum number of jobs, 1 to ${maxListed}`, '20')
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
      gatewayCommand('retry', 'Create a new job with the same settings, seed and priority.')
        .argument('<id>')
        .action(retry),
    );
}

function gatewayCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option('--address <host:port>', 'the gateway').default('127.0.0.1:50050'))
    .option('--json', 'print JSON');
}

async function list({ limit, ...options }: GatewayOptions & { limit: string }): Promise<void> {
  const count = parseFlag('--limit', wholeNumber(1, maxListed), limit);
  await withGateway(options, async (client, signal) => {
    const videos = await newest(client, count, signal);
    if (options.json) {
      print(videos.map(videoFacts));
    } else {
      process.stdout.write(formatTable(['id', 'state', 'progress', 'created', 'prompt'], videos.map(row)));
    }
  });
}

async function show(id: string, options: GatewayOptions): Promise<void> {
  await withGateway(options, async (client, signal) => {
    const video = await getVideo(client, id, signal);
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
    try {
      for await (const video of followVideo(client, id, signal)) {
        last = video;
        showWarnings(video);
        display.update(video);
      }
    } finally {
      display.finish();
    }
    const video = last as Video;
    if (options.json) {
      print(videoFacts(video));
    }
    finished(video);
    if (!options.json) {
      process.stdout.write(`${id} succeeded (${video.frames} frames, seed ${video.settings?.seed})\n`);
    }
  });
}

async function cancel(ids: string[], { all, ...options }: GatewayOptions & { all?: boolean }): Promise<void> {
  if (all ? ids.length > 0 : ids.length === 0) {
    throw invalidField(
      'cancel',
      `${ids.length} ids${all ? ' with --all' : ''}`,
      'called with ids of jobs, or with --all',
    );
  }
  await withGateway(options, async (client, signal) => {
    for (const id of all ? await unfinished(client, signal) : ids) {
      try {
        const { video } = await client.cancelVideo({ id }, { ...repeatable, signal });
        tell(video as Video, options);
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
async function unfinished(client: GatewayClient, signal: AbortSignal): Promise<string[]> {
  const videos = await newest(client, Number.POSITIVE_INFINITY, signal);
  const inState = (state: JobState) => videos.filter((video) => video.state === state).map(({ id }) => id);
  return [...inState(JobState.JOB_STATE_QUEUED), ...inState(JobState.JOB_STATE_RUNNING)];
}

async function retry(id: string, options: GatewayOptions): Promise<void> {
  await withGateway(options, async (client, signal) => {
    const { settings, priority } = await getVideo(client, id, signal);
    tell(await createVideo(client, { ...(settings && { settings }), priority }), options);
  });
}

async function withGateway(
  { address }: GatewayOptions,
  use: (client: GatewayClient, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const interrupted = interruptSignal();
  const { client, close } = await connectGateway(address);
  try {
    await use(client, interrupted);
  } catch (error) {
    if (!interrupted.aborted) {
      throw error;
    }
    process.exitCode = exitCode.interrupted;
  } finally {
    close();
  }
}

async function getVideo(client: GatewayClient, id: string, signal: AbortSignal): Promise<Video> {
  const { video } = await client.getVideo({ id }, { ...repeatable, signal });
  return video as Video;
}

async function newest(client: GatewayClient, count: number, signal: AbortSignal): Promise<Video[]> {
  const found: Video[] = [];
  for (let pageToken = ''; ; ) {
    const pageSize = Math.min(maxPageSize, count - found.length);
    const { videos, nextPageToken } = await client.listVideos({ pageSize, pageToken }, { ...repeatable, signal });
    found.push(...videos);
    if (nextPageToken === '' || found.length >= count) {
      return found;
    }
    pageToken = nextPageToken;
  }
}

function row(video: Video): string[] {
  const prompt = formatText(video.settings?.prompt ?? '', promptWidth);
  return [video.id, stateName(video.state), progress(video), formatTime(video.createdAt), prompt];
}

/** Of the stage that started last. */
function progress({ stages }: Video): string {
  const last = stages.at(-1);
  return last ? `${stageName(last.stage)} ${last.step}/${last.total}` : '-';
}

function description(video: Video): string {
  const { settings, ...facts } = videoFacts(video);
  const rows = [
    ['id', facts.id],
    ['state', facts.state],
    ['created', formatTime(video.createdAt)],
    ['started', formatTime(video.startedAt)],
    ['finished', formatTime(video.finishedAt)],
    ['kept until', formatTime(video.expiresAt)],
    ['attempt', String(facts.attempt)],
    ['priority', String(facts.priority)],
    ['prompt', plain(settings?.prompt ?? '')],
    ['not', plain(settings?.negativePrompt ?? '')],
    ['seed', settings?.seed ?? ''],
    ['size', `${settings?.width}×${settings?.height}, ${settings?.frameRate} frame rate, ${settings?.format}`],
    ...facts.stages.map(({ stage, step, total, seconds, waiting }) => [
      stage,
      waiting ? 'waiting: no replica available' : `${step}/${total} in ${seconds.toFixed(1)} s`,
    ]),
    ...facts.files.map(({ file, mediaType, bytes }) => [file, `${mediaType}, ${formatBytes(bytes)}`]),
    ...facts.warnings.map((warning) => ['warning', plain(warning)]),
    ...(facts.failure ? [['failure', `${facts.failure.code}: ${plain(facts.failure.reason)}`]] : []),
  ];
  const filled = rows.filter(([, value]) => value !== '' && value !== '-') as [string, string][];
  const width = Math.max(...filled.map(([name]) => name.length));
  return filled.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

function plain(text: string): string {
  return formatText(text, Number.POSITIVE_INFINITY);
}

function tell(video: Video, { json }: GatewayOptions): void {
  if (json) {
    print(videoFacts(video));
  } else {
    process.stdout.write(`${video.id} ${stateName(video.state)}\n`);
  }
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
