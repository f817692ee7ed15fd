import { invalidField } from '../services/kit/errors.ts';
import { loraName, loraNameRule } from '../services/pipeline/loras.ts';
import { firstFrameModelNames, modelNames } from '../services/pipeline/preset.ts';
import type { LoraRequest } from '../triton-models/packaging/plan-loras.ts';

const largestScale = 10;

/** Another `[model=]file[:scale]` after earlier ones. */
export function collectLora(given: string, earlier: readonly LoraRequest[] = []): LoraRequest[] {
  const names: string[] = Object.values({ ...modelNames, ...firstFrameModelNames });
  const named = names.find((name) => given.startsWith(`${name}=`));
  const rest = named === undefined ? given : given.slice(named.length + 1);
  const [, path = '', scale = '1'] = /^(.*?)(?::([^:/\\]*))?$/s.exec(rest)!;
  const number = scale.trim() === '' ? Number.NaN : Number(scale);
  if (path === '' || !(Math.abs(number) <= largestScale) || number === 0) {
    throw invalidField(
      '--lora',
      given,
      `[model=]file[:scale], with a scale from -${largestScale} to ${largestScale} that is not 0`,
    );
  }
  return [...earlier, { path, scale: number, ...(named !== undefined && { model: named }) }];
}

/** A LoRA that requests ask for by its name. */
export interface NamedLora extends LoraRequest {
  name: string;
}

/** Another `name=[model=]file[:scale]` after earlier ones. */
export function collectNamedLora(given: string, earlier: readonly NamedLora[] = []): NamedLora[] {
  const at = given.indexOf('=');
  const name = given.slice(0, Math.max(at, 0));
  if (!loraName.test(name)) {
    throw invalidField('--lora', given, `name=[model=]file[:scale], with a name of ${loraNameRule}`);
  }
  const [request] = collectLora(given.slice(at + 1));
  if (earlier.some((each) => each.name === name && each.scale === request!.scale)) {
    throw invalidField('--lora', given, 'another name or scale each time');
  }
  return [...earlier, { ...request!, name }];
}
