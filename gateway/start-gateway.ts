import { longCallSeconds } from '../services/kit/channel.ts';
import type { Logger } from '../services/kit/log.ts';
import type { Preset } from '../services/kit/preset.ts';
import { type RunningServer, serve } from '../services/kit/serve.ts';
import { videoService } from './api/video-service.ts';
import { JobFiles } from './jobs/job-files.ts';
import { MemoryJobStore } from './jobs/memory-job-store.ts';
import { VideoJobs } from './jobs/video-jobs.ts';
import { connectStages, type StageAddresses } from './stages/connect-stages.ts';

export interface GatewayOptions {
  /** Where to serve, see `serve()`. */
  address: string;
  /** The one that the stages serve, too. */
  preset: Preset;
  stageAddresses: StageAddresses;
  log: Logger;
  /** Told to the caller with every job. */
  warnings: readonly string[];
  /** Folder for the videos; empty: a temporary one that is removed at the end. */
  dataFolder: string;
  /** Jobs worked on at once. */
  concurrentJobs: number;
  /** Jobs that may wait; one more is RESOURCE_EXHAUSTED. */
  maxQueuedJobs: number;
  /** Finished jobs kept with their files. */
  maxFinishedJobs: number;
  /** How long a stage may bring no progress before its job fails, seconds. */
  progressTimeoutSeconds: number;
  /** Calls under way at once, watches included. */
  maxConcurrentCalls: number;
  /** How long jobs and calls may go on after `stop`, seconds. */
  drainSeconds: number;
}

/** After the jobs have ended their watchers are still to be told, seconds. */
const farewellSeconds = 2;

/**
 * Starts the gateway: jobs in memory, files in a folder, `VideoService` over gRPC. Its `stop` takes no further calls,
 * gives the jobs under way `drainSeconds` to succeed and fails the others, so that every watcher sees the end of its job.
 */
export async function startGateway(options: GatewayOptions): Promise<RunningServer> {
  const { preset, log, warnings, drainSeconds } = options;
  const files = await JobFiles.open(options.dataFolder);
  const stages = connectStages(options.stageAddresses, options.progressTimeoutSeconds);
  const jobs = new VideoJobs({
    store: new MemoryJobStore(options.maxQueuedJobs),
    concurrentJobs: options.concurrentJobs,
    maxFinishedJobs: options.maxFinishedJobs,
    preset,
    stages,
    files,
    log,
  });
  const release = async (graceSeconds: number) => {
    await jobs.stop(graceSeconds);
    stages.close();
  };
  try {
    const server = await serve({
      address: options.address,
      services: [videoService({ jobs, files, preset, warnings })],
      log,
      maxConcurrentCalls: options.maxConcurrentCalls,
      callTimeoutSeconds: longCallSeconds,
      drainSeconds: drainSeconds + farewellSeconds,
    });
    return {
      address: server.address,
      async stop() {
        await Promise.all([server.stop(), release(drainSeconds)]);
        await files.close();
      },
    };
  } catch (error) {
    await release(0);
    await files.close();
    throw error;
  }
}
