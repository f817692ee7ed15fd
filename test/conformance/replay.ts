import { rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { JsonValue } from '@bufbuild/protobuf';
import { Caller } from './caller.ts';
import { compare } from './compare.ts';
import { startEmbedded } from './embedded-target.ts';
import type { Outcome, Recording, Scenario, Step } from './exchanges.ts';
import { changesRepository, helpers, sharedMemoryKeys } from './helpers.ts';
import type { StartTarget, Target } from './target.ts';
import { waivers } from './waivers.ts';

export type Verdict = 'passed' | 'failed' | 'waived';

export interface StepResult {
  scenario: string;
  index: number;
  step: Step;
  verdict: Verdict;
  /** What differs, one line each. */
  differences: string[];
}

export interface Replay {
  results: StepResult[];
  /** Scenarios that could not be played, with the reason. */
  skipped: { scenario: string; reason: string }[];
}

export interface ReplayOptions {
  /** Starts the server of each scenario. Default: embedded ones. */
  start?: StartTarget;
  /** Play on this server instead. */
  address?: string;
  /** Play this scenario only. */
  scenario?: string;
  /** Compare texts too. */
  withTexts: boolean;
  /** Creates the caller. Default: {@link Caller}. */
  createCaller?: (address: string) => Caller;
}

/**
 * Plays every scenario of a recording, one after another, and compares each answer with the recorded one. Scenarios
 * that can be played on any server share one; each of the others has its own.
 */
export async function replay(recording: Recording, options: ReplayOptions): Promise<Replay> {
  const { address, start = startEmbedded } = options;
  const results: StepResult[] = [];
  const skipped: Replay['skipped'] = [];
  let shared: Target | undefined;
  try {
    for (const scenario of recording.scenarios) {
      if (options.scenario !== undefined && scenario.name !== options.scenario) {
        continue;
      }
      const reason = whyNotOn(scenario, options);
      if (reason && address !== undefined) {
        skipped.push({ scenario: scenario.name, reason });
      } else if (scenario.server_exit_code !== undefined) {
        results.push(await playStart(recording, scenario, start));
      } else if (reason) {
        const own = await start(recording, scenario);
        results.push(...(await playScenario(scenario, own, options).finally(() => own.stop())));
      } else {
        const given = address && { address, repository: undefined, stop: async () => {} };
        shared ??= given || (await start(recording, scenario));
        results.push(...(await playScenario(scenario, shared, options)));
      }
    }
  } finally {
    await shared?.stop();
  }
  return { results, skipped };
}

/** The flags that a shared server, or one at a given address, runs with. */
const commonFlags = ['--exit-on-error=false'];

function whyNotOn(scenario: Scenario, { scenario: chosen }: ReplayOptions): string | undefined {
  if (scenario.server_exit_code !== undefined) {
    return 'the server is to end at its start';
  }
  if ((scenario.steps ?? []).some(changesRepository)) {
    return 'it changes the repository';
  }
  if (chosen === undefined && (scenario.steps ?? []).some(({ method }) => method === 'ModelStatistics')) {
    return 'its counters need a server that did nothing before';
  }
  if (chosen === undefined && scenario.server_flags.join(' ') !== commonFlags.join(' ')) {
    return `it needs a server started with ${scenario.server_flags.join(' ') || 'no flags'}`;
  }
  return undefined;
}

async function playScenario(scenario: Scenario, target: Target, options: ReplayOptions): Promise<StepResult[]> {
  const steps = scenario.steps ?? [];
  const caller = options.createCaller?.(target.address) ?? new Caller(target.address);
  const results: StepResult[] = [];
  try {
    for (const [index, step] of steps.entries()) {
      results.push(judge(scenario.name, index, step, await playStep(step, { caller, target, options })));
    }
  } finally {
    caller.close();
    for (const file of sharedMemoryKeys(steps)) {
      rmSync(file, { force: true });
    }
  }
  return results;
}

/** A start that ends by itself counts as one step. */
async function playStart(recording: Recording, scenario: Scenario, start: StartTarget): Promise<StepResult> {
  const step: Step = { name: 'the server ends at its start', method: 'start' };
  try {
    const target = await start(recording, scenario);
    await target.stop();
    return judge(scenario.name, 0, step, [`expected an end with code ${scenario.server_exit_code}, the server serves`]);
  } catch {
    return judge(scenario.name, 0, step, []);
  }
}

interface Stage {
  caller: Caller;
  target: Target;
  options: ReplayOptions;
}

/** Plays one step; answers with what differs. */
async function playStep(step: Step, stage: Stage): Promise<string[]> {
  try {
    if (step.method === '@parallel') {
      const differences = await Promise.all(parallelSteps(step).map((one) => playStep(one, stage)));
      return differences.flatMap((list, index) => list.map((text) => `step ${index}: ${text}`));
    }
    const outcome = await play(step, stage);
    return compare(step, withoutPath(outcome, stage.target.repository), stage.options.withTexts);
  } catch (error) {
    return [`cannot be played: ${(error as Error).message}`];
  }
}

async function play(step: Step, { caller, target }: Stage): Promise<Outcome> {
  if (step.method === '@raw_method') {
    const { path, data } = step.request as { path: string; data?: string };
    const answer = await caller.raw(path, Buffer.from(data ?? '', 'base64'));
    return answer.error ? { error: answer.error } : { response: { data: answer.bytes!.toString('base64') } };
  }
  const helper = helpers[step.method];
  if (helper) {
    const outcome = await helper(step.request ?? {}, target.repository);
    if (step.method === '@wait') {
      await unloadsEnded(caller);
    }
    return outcome;
  }
  return step.end ? await caller.stream(step) : await caller.unary(step);
}

/** What the recorded waits are for; a slow machine may take longer than they say. */
async function unloadsEnded(caller: Caller): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (Date.now() < deadline) {
    const { response } = await caller.unary({ name: 'index', method: 'RepositoryIndex' });
    if (!JSON.stringify(response ?? {}).includes('"UNLOADING"')) {
      return;
    }
    await delay(50);
  }
}

/** The steps of a parallel step, each with its recorded result and the marks of the whole. */
function parallelSteps(step: Step): Step[] {
  const { steps = [] } = (step.request ?? {}) as unknown as { steps?: Step[] };
  const { results = [] } = (step.response ?? {}) as unknown as { results?: Partial<Step>[] };
  const { request: _request, response: _response, ...marks } = step;
  return steps.map((one, index) => ({ ...marks, ...one, ...results[index] }));
}

function judge(scenario: string, index: number, step: Step, differences: string[]): StepResult {
  const isWaived = waivers.some((waiver) => waiver.matches(scenario, step));
  const verdict = differences.length === 0 ? 'passed' : isWaived ? 'waived' : 'failed';
  return { scenario, index, step, verdict, differences };
}

/** The recording says `<REPO>` where a text has the repository's path. */
function withoutPath(outcome: Outcome, repository: string | undefined): Outcome {
  if (!repository) {
    return outcome;
  }
  const replace = (json: JsonValue): JsonValue => JSON.parse(JSON.stringify(json).replaceAll(repository, '<REPO>'));
  return replace(outcome as JsonValue) as Outcome;
}
