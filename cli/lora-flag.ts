import { invalidField } from '../services/kit/errors.ts';
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
