import { Status } from 'nice-grpc-common';
import type { Sql } from 'postgres';
import { FusionError, toFusionError } from '../../../services/kit/errors.ts';
import type { Logger } from '../../../services/kit/log.ts';
import { add } from '../../../services/kit/telemetry/metrics.ts';
import { ask } from '../../database/ask.ts';
import { warnUnlessAway } from '../../database/outage-log.ts';
import { type ModelRoute, modelId, routeId } from '../../models/model-route.ts';
import type { Models } from '../../models/models.ts';
import type { Moderation } from '../../moderation/moderation.ts';
import type { VideoProvenance } from '../../provenance/open-provenance.ts';
import { type Stages, stagesOfJob } from '../../stages/connect-stages.ts';
import { describeModel, describeModelNow } from '../../stages/describe-model.ts';
import type { Stage } from '../../stages/stage-call.ts';
import type { ObjectStore } from '../../storage/object-store.ts';
import type { JobPicture } from '../job.ts';
import { moderatedPrompt } from '../moderate-prompt.ts';
import { JobLedger, type JobOutcome } from '../store/job-ledger.ts';
import { toJob } from '../store/job-rows.ts';
import { findKeptResult } from '../store/kept-results.ts';
import type { ClaimedJob } from '../store/leases.ts';
import { EarlyPictures } from './early-pictures.ts';
import { FrameCheck } from './frame-check.ts';
import { JobOutput } from './job-output.ts';
import { inJobSpan, noteGivenUp, noteOutcome, notePause } from './job-trace.ts';
import { loadPicture } from './load-picture.ts';
import { makeVideo } from './make-video.ts';
import { type Retry, retryAfter, triesBehind } from './retry-policy.ts';
import type { AttemptTools } from './running-jobs.ts';
import { tidyObjects } from './tidy-objects.ts';
import { Workflow } from './workflow.ts';

/** A job that loses this many replicas before finishing a stage is assumed to be what crashes them. */
const maxCrashes = 10;

/** Dependencies of the work on a job. */
export interface JobTools extends VideoProvenance {
  sql: Sql;
  objects: ObjectStore;
  models: Models;
  /** Clients of the stages of a route, until they are released. */
  useStages(route: ModelRoute): { stages: Stages; release(): Promise<void> };
  /** This process's folder for unfinished files. */
  scratch: string;
  /** How long a job waits for a gateway that has a route to its model, seconds. */
  routeSeconds: number;
  /** Time in a stage between two checkpoints, seconds; 0: none. */
  checkpointSeconds: number;
  /** How long results are kept for other videos, seconds; 0: not at all. */
  keepResultsSeconds: number;
  /** How often a stage may be started while it fails for transient reasons. */
  stageAttempts: number;
  /** Absent: nothing is moderated. */
  moderation: Moderation | undefined;
  log: Logger;
}

export interface Attempt extends AttemptTools {
  claimed: ClaimedJob;
  /** The replica doing the work. */
  owner: string;
  /** Aborts when nothing more may be written. */
  closed: AbortSignal;
}

/**
 * Works on a job until it has ended, is lost or is released. Returns after how many seconds it may be claimed again, if
 * at all.
 */
export function workOn(attempt: Attempt, tools: JobTools): Promise<number | undefined> {
  return inJobSpan(attempt.claimed, attempt.owner, tools.sql, () => work(attempt, tools));
}

async function work(attempt: Attempt, tools: JobTools): Promise<number | undefined> {
  const { claimed, owner, lost, stopping, pausing, vitals, closed } = attempt;
  const { sql, objects, models, scratch } = tools;
  const { id } = claimed.row;
  const route = models.routeOf(claimed.row);
  // Without a route the job fails before it calls a stage.
  const { stages: ownStages, release } = tools.useStages(route ?? models.default);
  const log = tools.log.child({ job: id, attempt: claimed.row.attempt });
  const paused = new AbortController();
  const signal = AbortSignal.any([lost.signal, stopping, paused.signal]);
  const ledger = new JobLedger({
    sql,
    claimed,
    owner,
    signal: AbortSignal.any([closed, lost.signal]),
    vitals,
    onLost: () => lost.abort(),
  });
  const output = new JobOutput({ objects, scratch, id, attempt: claimed.row.attempt, signal });
  const pauseIfDue = async () => {
    if (pausing.aborted && (await ledger.mustPause())) {
      paused.abort();
    }
  };
  const workflow: Workflow = new Workflow({
    ...{ claimed, ledger, objects, pausing, pauseIfDue, log, signal },
    checkpointSeconds: tools.checkpointSeconds,
    keepsResults: tools.keepResultsSeconds > 0,
    findKept: (content) => ask(sql, () => findKeptResult(sql, claimed.row.keyId, content)),
    describeModel: (stage) => describeModel(stages[stage] as Stage, signal),
    describeModelNow: (stage) => describeModelNow(ownStages[stage] as Stage, signal),
  });
  const stages = stagesOfJob(ownStages, (reason) => {
    workflow.noteWait(reason !== undefined);
    const stage = workflow.current;
    log.info(
      { stage, notice: true },
      reason === undefined ? 'the stage is available again' : `the job waits for its stage: ${reason}`,
    );
  });
  const early = new EarlyPictures({
    decoder: ownStages.decoder,
    ledger,
    output,
    watermark: tools.watermark,
    priority: claimed.row.priority,
    createdAt: claimed.row.createdAt,
    log,
    signal,
  });
  let failure: unknown;
  log.info({ recorded: [...claimed.results.keys()] }, 'job started');
  try {
    const outcome = await make()
      .finally(() => early.stop())
      .catch((thrown) => (lost.signal.aborted ? Promise.reject(thrown) : judge(thrown)));
    if (outcome === 'paused') {
      noteGivenUp('paused');
      await ledger.pause();
      notePause(claimed.row);
      log.info({ pauses: ledger.status.pauses, notice: true }, 'job paused for another one');
      return undefined;
    }
    if ('delaySeconds' in outcome) {
      noteGivenUp('given-back');
      await ledger.release(outcome.delaySeconds, outcome.tries);
      return outcome.delaySeconds;
    }
    await ledger.finish(outcome);
    noteOutcome(claimed, ledger.status, failure);
    const seconds = Math.round(Date.now() - claimed.row.createdAt.getTime()) / 1000;
    log.info({ state: outcome.state, seconds, notice: true }, 'job ended');
  } catch (thrown) {
    if (!lost.signal.aborted) {
      throw thrown;
    }
    noteGivenUp('lost');
    log.info('job cancelled or taken over by another gateway');
  } finally {
    await release();
    await output.close();
    if (!closed.aborted) {
      await tidyObjects(sql, objects, id).catch((error) =>
        warnUnlessAway(log, error, {}, 'files could not be removed'),
      );
    }
  }
  return undefined;

  async function make() {
    if (claimed.crashes >= maxCrashes) {
      throw new FusionError(
        Status.INTERNAL,
        `The job was abandoned after the gateways working on it crashed ${claimed.crashes} times`,
        {
          reason: 'JOB_CRASHES_GATEWAYS',
        },
      );
    }
    const job = toJob(claimed.row, 0);
    if (job.settingsFault !== undefined) {
      // Another gateway may run the release that accepted the job.
      throw new FusionError(Status.UNAVAILABLE, `The job needs a newer release: ${job.settingsFault}`, {
        reason: 'NEWER_SETTINGS',
      });
    }
    if (!route) {
      const message = `No gateway has had a route to the model ${modelId(job)} for ${tools.routeSeconds} seconds`;
      throw new FusionError(Status.UNAVAILABLE, message, { reason: 'NO_ROUTE' });
    }
    const check = new FrameCheck({
      moderation: tools.moderation,
      ledger,
      recorded: claimed.framesVerdict ?? undefined,
      video: id,
      prompt: moderatedPrompt(job, routeId(route)),
      signal,
    });
    check.requireNotRefused();
    const { watermark, signer } = tools;
    signer?.requireValid();
    const { preset, weights } = route;
    const facts = {
      video: id,
      model: routeId(route),
      ...(weights && { weights }),
      ...(watermark && { watermark: watermark.sha256 }),
      ...(job.picture && { picture: job.picture.sha256 }),
      settings: job.settings,
    };
    const sign = signer && ((path: string, mediaType: string) => signer.sign(path, mediaType, facts));
    const readPicture = (picture: JobPicture) => loadPicture(objects, picture, signal);
    return makeVideo(job, { preset, stages, workflow, output, early, check, readPicture, watermark, sign, signal });
  }

  /** Decides what follows from a failure. */
  function judge(thrown: unknown): JobOutcome | Retry | 'paused' {
    if (stopping.aborted) {
      return { delaySeconds: 0, tries: ledger.tries };
    }
    if (paused.signal.aborted) {
      return 'paused';
    }
    failure = thrown;
    const error = toFusionError(thrown);
    const stage = workflow.current;
    const details = { stage, code: error.codeName, ...(error.code === Status.INTERNAL && { err: thrown }) };
    const retry = retryAfter(error, ledger.tries, tools.stageAttempts);
    log.warn({ ...details, ...retry }, error.message);
    if (retry) {
      add('fusionframes.retries', 1, {
        ...(stage && { 'fusionframes.stage': stage }),
        'rpc.response.status_code': error.codeName,
      });
    }
    const { codeName: code, reason } = error;
    const message = `${error.message}${triesBehind(ledger.tries)}`;
    return retry ?? { state: 'failed', failure: { code, reason, stage, message, attempt: claimed.row.attempt } };
  }
}
