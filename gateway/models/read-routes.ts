import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Status } from 'nice-grpc-common';
import { z } from 'zod';
import { isServerAddress, serverAddressRule } from '../../services/kit/addresses.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';
import { loraName, loraNameRule, loraText, maxLoras } from '../../services/pipeline/loras.ts';
import { loadPreset } from '../../services/pipeline/preset.ts';
import { forEachStage } from '../../services/pipeline/stages.ts';
import { type ModelRoute, routeId } from './model-route.ts';

const versionRule = '1 to 32 letters, digits, dots, underscores and hyphens, starting with a letter or digit';

const routesRule = 'a list of 1 to 100 routes';

const stageAddress = z.string(serverAddressRule).refine(isServerAddress, serverAddressRule);

const routeSchema = z.strictObject({
  /** A name, or a path of a preset's .json file relative to this file. */
  preset: z.string().min(1),
  version: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]{0,31}$/, versionRule)
    .optional(),
  weight: z.number().min(0).max(1_000_000).default(1),
  draining: z.boolean().default(false),
  stages: z.strictObject(forEachStage(() => stageAddress)),
  lora: z
    .array(z.strictObject({ name: z.string().regex(loraName, loraNameRule), scale: z.number() }))
    .max(maxLoras)
    .default([]),
});

const fileSchema = z.strictObject({ routes: z.array(routeSchema, routesRule).min(1, routesRule).max(100, routesRule) });

/** A route of a file, without what depends on its weights. */
export type FileRoute = Omit<ModelRoute, 'warnings' | 'weights'>;

export type FileRoutes = [FileRoute, ...FileRoute[]];

/**
 * Reads a file of routes. Throws INVALID_ARGUMENT naming the file, the field and what is allowed.
 *
 * @param setting the setting that names the file
 */
export function readRoutes(path: string, setting: string): FileRoutes {
  try {
    return parseRoutes(parseJson(readFileSync(path, 'utf8')), dirname(resolve(path)));
  } catch (error) {
    const message = `\`${setting}\`: ${path} must be a readable file of routes: ${reasonOf(error)}`;
    throw new FusionError(Status.INVALID_ARGUMENT, message, {
      reason: 'INVALID_SETTING',
      field: setting,
      cause: error,
    });
  }
}

/** The preset files that a file of routes names, as far as it can be read. */
export function presetFiles(path: string): string[] {
  try {
    const { routes } = JSON.parse(readFileSync(path, 'utf8')) as { routes: { preset: string }[] };
    const presets = routes.map(({ preset }) => preset).filter((preset) => preset.endsWith('.json'));
    return [...new Set(presets)].map((preset) => resolve(dirname(resolve(path)), preset));
  } catch {
    return [];
  }
}

/** Throws an Error that names the field at fault. */
export function parseRoutes(given: unknown, folder: string): FileRoutes {
  const { routes } = parseSchema(fileSchema, given);
  const parsed = routes.map(({ preset, version = '', weight, draining, stages, lora }, index): FileRoute => {
    const name = preset.endsWith('.json') ? resolve(folder, preset) : preset;
    const loaded = loadPreset(name, `routes.${index}.preset`);
    const names = lora.map((each) => each.name);
    const repeated = names.find((each, at) => names.indexOf(each) < at);
    if (repeated !== undefined) {
      throw new Error(`\`routes.${index}.lora\` must name ${repeated} once`);
    }
    const loras = [...lora].sort((one, other) => (one.name < other.name ? -1 : 1));
    return {
      preset: loaded,
      version,
      stageAddresses: stages,
      weight,
      isDraining: draining,
      ...(loras.length > 0 && { loras }),
    };
  });
  requireConsistent(parsed);
  return parsed as FileRoutes;
}

function requireConsistent(routes: readonly FileRoute[]): void {
  const ids = routes.map(routeId);
  const names = [...new Set(routes.map(({ preset }) => preset.name))];
  const repeated = ids.find((id, index) => ids.indexOf(id) < index);
  if (repeated !== undefined) {
    throw new Error(`${repeated} must have one route (got ${ids.filter((id) => id === repeated).length})`);
  }
  for (const name of names) {
    const versions = routes.filter(({ preset }) => preset.name === name);
    if (versions.length > 1 && versions.some(({ version }) => version === '')) {
      throw new Error(`each of the ${versions.length} routes of ${name} must have a \`version\``);
    }
    const open = versions.filter(({ isDraining }) => !isDraining);
    for (const loras of new Set(open.map((route) => loraText(route.loras ?? [])))) {
      if (open.every(({ weight, loras: own = [] }) => weight === 0 || loraText(own) !== loras)) {
        const what = loras === '' ? name : `${name} with ${loras}`;
        throw new Error(`the weights of ${what} must add up to more than 0, not counting versions that drain`);
      }
    }
  }
  const clash = routes.find(({ version, preset }) => version !== '' && names.includes(routeId({ preset, version })));
  if (clash) {
    throw new Error(`${routeId(clash)} must not be both a preset and a version of ${clash.preset.name}`);
  }
  const [first] = names;
  if (routes.every(({ preset, isDraining }) => preset.name !== first || isDraining)) {
    throw new Error(`${first} must accept new videos: the first model is the default, so put another one first`);
  }
}
