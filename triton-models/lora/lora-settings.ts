import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { parseJson } from '../../services/kit/parse-json.ts';
import { reasonOf } from '../../services/kit/reason-of.ts';
import { parseSchema } from '../../services/kit/schema.ts';

const settingsSchema = z.object({
  r: z.number().positive(),
  lora_alpha: z.number(),
  use_rslora: z.boolean().default(false),
  use_dora: z.literal(false, 'false: DoRA cannot be merged').default(false),
  fan_in_fan_out: z.literal(false, 'false').default(false),
  alpha_pattern: z.record(z.string().regex(/^[\w.]+$/, 'names without patterns'), z.number()).default({}),
});

/** What peft keeps beside the tensors instead of among them. */
export type LoraSettings = z.infer<typeof settingsSchema>;

/** Name of the file that peft writes next to an adapter. */
const settingsName = 'adapter_config.json';

/**
 * How an adapter is scaled, by the beginning of its layers' names: from the metadata in which diffusers keeps it, or from peft's
 * file next to it. Empty if neither is there. Throws an Error naming the faulty fields.
 *
 * @param isPeft whether the file is one of peft's. The file next to another one belongs to another adapter
 */
export async function readLoraSettings(
  path: string,
  metadata: Readonly<Record<string, string>>,
  isPeft: boolean,
): Promise<Map<string, LoraSettings>> {
  const packed = metadata.lora_adapter_metadata;
  if (packed !== undefined) {
    const fields = parseSchema(z.record(z.string(), z.unknown()), parseJson(packed));
    return new Map([...unpack(fields)].map(([prefix, given]) => [prefix, parse(`metadata of \`${prefix}\``, given)]));
  }
  const text = isPeft ? await readSettingsFile(path) : undefined;
  return new Map(text === undefined ? [] : [['', parse(settingsName, parseJson(text))]]);
}

async function readSettingsFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(join(dirname(path), settingsName), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}

function parse(place: string, given: unknown): LoraSettings {
  try {
    return parseSchema(settingsSchema, given);
  } catch (error) {
    throw new Error(`${place}: ${reasonOf(error)}`);
  }
}

/** `unet.r` and so on, by what comes before the first dot. */
function unpack(fields: Readonly<Record<string, unknown>>): Map<string, Record<string, unknown>> {
  const unpacked = new Map<string, Record<string, unknown>>();
  for (const [name, value] of Object.entries(fields)) {
    const at = name.indexOf('.') + 1;
    const prefix = name.slice(0, at);
    unpacked.set(prefix, { ...unpacked.get(prefix), [name.slice(at)]: value });
  }
  return unpacked;
}

/** What a layer's product is multiplied by at scale 1. */
export function factorOf({ lora_alpha, alpha_pattern, use_rslora }: LoraSettings, path: string, rank: number): number {
  const own = Object.entries(alpha_pattern).find(([name]) => path === name || path.endsWith(`.${name}`))?.[1];
  return (own ?? lora_alpha) / (use_rslora ? Math.sqrt(rank) : rank);
}
