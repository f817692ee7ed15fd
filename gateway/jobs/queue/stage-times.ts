import type { Preset } from '../../../services/pipeline/preset.ts';
import type { StageName } from '../../../services/pipeline/stages.ts';
import { type JobModel, modelId } from '../../models/model-route.ts';
import type { StageProgress } from '../job.ts';
import { isKept, stagesOf, stageWork, type WorkSettings } from '../video-work.ts';

/** A job that was started, as far as its times are concerned. */
export interface StartedJob extends JobModel {
  settings: WorkSettings;
  /** One entry for each stage that was started, in order. */
  stages: readonly StageProgress[];
}

export interface FinishedJob extends StartedJob {
  /** From its start to its end. */
  seconds: number;
}

/** The preset of a job's model. */
export type PresetOf = (job: JobModel) => Preset;

/**
 * How long videos take: a stage's time is proportional to its pixels, at the median rate of recent and current videos.
 * The rates apply to the load under which those were made.
 */
export class StageTimes {
  readonly #presetOf: PresetOf;
  /** Seconds for a million pixels, by stage, of each model and of all. */
  readonly #rates = new Map<string, number>();
  /** Time outside the stages for each of them, such as storing its result, seconds. */
  readonly #between: number;

  /** @param finished the latest, at least one */
  constructor(finished: readonly FinishedJob[], running: readonly StartedJob[], presetOf: PresetOf) {
    this.#presetOf = presetOf;
    const rates = new Map<string, number[]>();
    for (const job of [...finished, ...running]) {
      const works = stageWork(job.settings, presetOf(job));
      for (const [index, { stage, step, total, seconds, reused }] of job.stages.entries()) {
        const work = workOf(stage, job);
        for (const name of step > 0 && !reused ? [rateName(work, job), work] : []) {
          rates.set(name, [...(rates.get(name) ?? []), seconds / (works[index]! * (step / total))]);
        }
      }
    }
    const between = finished.map(({ stages, seconds }) => {
      const inStages = stages.reduce((sum, each) => sum + each.seconds, 0);
      return Math.max(0, seconds - inStages) / stages.length;
    });
    for (const [name, values] of rates) {
      this.#rates.set(name, median(values));
    }
    this.#between = median(between);
  }

  /** From start to end, seconds. */
  secondsOf(job: Omit<StartedJob, 'stages'>): number {
    return this.remaining({ ...job, stages: [] });
  }

  /** Until the end of a job that runs, or from when it starts or continues after a pause, seconds. */
  remaining(job: Omit<StartedJob, 'stages'> & Partial<Pick<StartedJob, 'stages'>>): number {
    const { settings, stages = [] } = job;
    const preset = this.#presetOf(job);
    const work = stageWork(settings, preset);
    return stagesOf(settings, preset).reduce((sum, { stage }, index) => {
      const progress = stages[index];
      const whole = isKept(settings, index) ? 0 : this.#rateOf(stage, job) * work[index]!;
      if (!progress || progress.step === 0) {
        return sum + whole + this.#between;
      }
      const left = progress.total - progress.step;
      return sum + (left / progress.step) * progress.seconds + (left > 0 ? this.#between : 0);
    }, 0);
  }

  /**
   * Recent videos may have had no interpolation, whose frames cost about as much as keyframes, or used another model.
   */
  #rateOf(stage: StageName, job: RatedJob): number {
    const work = workOf(stage, job);
    // Encoding takes about as long as decoding.
    const similar = work === 'encoding' ? 'decoder' : 'keyframes';
    const names = [rateName(work, job), rateName(similar, job), work, similar];
    return this.#rates.get(names.find((name) => this.#rates.has(name)) ?? '') ?? 0;
  }
}

type RatedJob = JobModel & { settings: Pick<WorkSettings, 'givenKeyframes'> };

/** What a stage does: keyframes that are given are encoded, which takes much less time than making them. */
function workOf(stage: StageName, { settings }: RatedJob): StageName | 'encoding' {
  return stage === 'keyframes' && settings.givenKeyframes !== undefined ? 'encoding' : stage;
}

function rateName(work: StageName | 'encoding', job: JobModel): string {
  return `${work} of ${modelId(job)}`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
