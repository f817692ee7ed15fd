import { createHash, randomUUID } from 'node:crypto';
import { Status } from 'nice-grpc-common';
import { either } from '../../services/kit/either.ts';
import { describe, FusionError, invalidField } from '../../services/kit/errors.ts';
import { type AskedLora, hasLoras, loraText, type MergedLora } from '../../services/pipeline/loras.ts';
import type { Preset } from '../../services/pipeline/preset.ts';
import { type JobModel, type ModelRoute, modelId, routeId } from './model-route.ts';

/** The parts of a request that decide which version of a model makes its video. */
export interface VersionKey {
  prompt: string;
  seed: bigint | undefined;
  clientId: string;
}

export type Routes = readonly [ModelRoute, ...ModelRoute[]];

/** The models of a gateway and their versions. The first is the default. Its routes may change while it runs. */
export class Models {
  #routes: Routes;

  constructor(routes: Routes) {
    this.#routes = routes;
  }

  get routes(): Routes {
    return this.#routes;
  }

  get default(): ModelRoute {
    return this.#routes[0];
  }

  /** From now on, these are the routes. Jobs that run keep the one they began with. */
  change(routes: Routes): void {
    this.#routes = routes;
  }

  /** Names of the models. */
  get names(): string[] {
    return [...new Set(this.routes.map(({ preset }) => preset.name))];
  }

  /** Every model id that a request may use: names and, where there are versions, names with versions. */
  get ids(): string[] {
    return this.names.flatMap((name) => [...new Set([name, ...this.versionsOf(name).map(routeId)])]);
  }

  /** The models of stored jobs that this gateway has routes for. */
  get served(): JobModel[] {
    const routed = this.routes.map(({ preset, version }) => ({ model: preset.name, version }));
    const unversioned = this.names.map((model) => ({ model, version: '' }));
    const all = [{ model: '', version: '' }, ...unversioned, ...routed];
    return [...new Map(all.map((each) => [modelId(each), each])).values()];
  }

  versionsOf(name: string): ModelRoute[] {
    return this.routes.filter(({ preset }) => preset.name === name);
  }

  /**
   * The route of a new video. For a model's name, versions are chosen by weight: always the same one for the same prompt
   * and seed or, without a seed, the same client id. Refused with NOT_FOUND is an unknown model, for which the route is
   * the default one, with INVALID_ARGUMENT LoRAs that no version has, and with FAILED_PRECONDITION a version that takes no new
   * videos; a repeated request is not refused.
   *
   * @param asked id of a model; empty: the default
   * @param loras that the version must have; none: of a name without a version, a version without any
   */
  choose(
    asked: string,
    key: VersionKey,
    loras: readonly AskedLora[] = [],
  ): { route: ModelRoute; refusal?: FusionError } {
    const name = asked === '' ? this.default.preset.name : asked;
    const versions = this.versionsOf(name);
    const named = versions.length > 0 ? versions : this.routes.filter((route) => routeId(route) === name);
    if (named.length === 0) {
      return { route: this.default, refusal: noSuchModel(name, this.ids) };
    }
    const isFree = versions.length === 0 && loras.length === 0;
    const fitting = isFree ? named : named.filter((route) => hasLoras(route.loras ?? [], loras));
    if (new Set(fitting.map((route) => loraText(route.loras ?? []))).size !== 1) {
      return { route: named[0]!, refusal: noSuchLora(loras, name, named) };
    }
    const open = fitting.filter(isOpen);
    if (open.length === 0) {
      return { route: named[0]!, refusal: draining(name, this.openIds(named[0]!.preset.name)) };
    }
    return { route: open.length === 1 ? open[0]! : byWeight(open, point(key)) };
  }

  /**
   * What a new video like a stored job asks for: its own version or, if that takes no new videos, another one of its model
   * with the same LoRAs.
   *
   * @param loras those it was made with, if they were stored
   */
  forAnother(job: JobModel, loras?: readonly MergedLora[]): { model: string; lora: readonly MergedLora[] } {
    const own = this.routeOf(job);
    const lora = loras ?? own?.loras ?? [];
    const fits = (route: ModelRoute) => isOpen(route) && hasLoras(route.loras ?? [], lora);
    const isOther = lora.length > 0 || this.versionsOf(job.model).some(fits);
    return isOther && !(own && fits(own)) ? { model: job.model, lora } : { model: this.idOf(job), lora: [] };
  }

  /** What the `lora` of a request for a model may be, besides none. */
  lorasOf(name: string): (readonly MergedLora[])[] {
    const open = this.versionsOf(name).filter(isOpen);
    return [...new Map(open.map(({ loras = [] }) => [loraText(loras), loras])).values()].filter(
      ({ length }) => length > 0,
    );
  }

  /** Ids that take new videos: a model and its versions or, if none of those does, other models. */
  openIds(name: string): string[] {
    const own = this.versionsOf(name).filter(isOpen);
    return own.length > 0 ? [...new Set([name, ...own.map(routeId)])] : this.routes.filter(isOpen).map(routeId);
  }

  /**
   * The route of a stored job; undefined if this gateway has none. Jobs from before the model had versions belong to the
   * first.
   */
  routeOf({ model, version }: JobModel): ModelRoute | undefined {
    const versions = model === '' ? [this.default] : this.versionsOf(model);
    return version === '' ? versions[0] : versions.find((route) => route.version === version);
  }

  /** The preset of a stored job, or the best substitute if this gateway has no route for it any more. */
  presetOf(job: JobModel): Preset {
    return (this.routeOf(job) ?? this.versionsOf(job.model)[0] ?? this.default).preset;
  }

  /** The id under which callers know a job's model. */
  idOf(job: JobModel): string {
    return job.model === '' ? routeId(this.default) : modelId(job);
  }
}

/** Raising the weight of a later version moves jobs only to that version. */
function byWeight(routes: readonly ModelRoute[], at: number): ModelRoute {
  const weighted = routes.filter(({ weight }) => weight > 0);
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  let reached = 0;
  return weighted.find(({ weight }) => (reached += weight / total) > at) ?? weighted.at(-1)!;
}

/** A number from 0 to 1, excluding 1. */
function point({ prompt, seed, clientId }: VersionKey): number {
  const text = seed === undefined ? clientId || randomUUID() : `${seed} ${prompt}`;
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}

export function noSuchModel(name: string, ids: readonly string[]): FusionError {
  return new FusionError(Status.NOT_FOUND, `\`model\` ${describe(name)} not found; available: ${ids.join(', ')}`, {
    reason: 'NO_SUCH_MODEL',
    field: 'model',
  });
}

function noSuchLora(asked: readonly AskedLora[], name: string, routes: readonly ModelRoute[]): FusionError {
  const there = new Set(routes.flatMap(({ loras = [] }) => (loras.length > 0 ? [loraText(loras)] : [])));
  const given = asked.length > 0 ? loraText(asked) : undefined;
  return invalidField('lora', given, there.size > 0 ? either(there) : `absent: ${name} has none`);
}

function isOpen({ isDraining }: ModelRoute): boolean {
  return !isDraining;
}

function draining(name: string, others: readonly string[]): FusionError {
  return new FusionError(
    Status.FAILED_PRECONDITION,
    `\`model\` ${describe(name)} takes no new videos${others.length > 0 ? `; use ${either(others)}` : ''}`,
    { reason: 'MODEL_DRAINING', field: 'model' },
  );
}
