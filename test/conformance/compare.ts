import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { canonical, methodOf } from './codec.ts';
import { sameText } from './compare-texts.ts';
import type { Outcome, RecordedStatus, Step } from './exchanges.ts';
import { valuesOfRaw } from './raw-values.ts';

/** Fields that hold a sentence for people. */
const textFields = new Set(['error_message', 'reason']);

/**
 * How an outcome differs from what was recorded, one line each; none: they agree. Data, status codes and refusals count;
 * texts only when asked for.
 */
export function compare(step: Step, outcome: Outcome, withTexts: boolean): string[] {
  if (step.end) {
    return [
      ...compareData(step, step.responses ?? [], outcome.responses ?? [], withTexts),
      ...compareStatus(step, step.end, outcome.end, withTexts),
    ];
  }
  if (step.error || outcome.error) {
    return compareStatus(step, step.error, outcome.error, withTexts);
  }
  return compareData(step, step.response ?? {}, outcome.response ?? {}, withTexts);
}

function compareStatus(
  step: Step,
  expected: RecordedStatus | undefined,
  actual: { code: number; message: string } | undefined,
  withTexts: boolean,
): string[] {
  const show = (status: { code: number; message: string } | undefined) =>
    status ? `status ${status.code} "${status.message}"` : 'an answer';
  if ((expected?.code ?? 0) !== (actual?.code ?? 0)) {
    return [`expected ${show(expected)}, got ${show(actual)}`];
  }
  if (withTexts && expected && actual && !sameText(step, expected.message, actual.message)) {
    return [`expected text "${expected.message}", got "${actual.message}"`];
  }
  return [];
}

function compareData(step: Step, expected: JsonValue, actual: JsonValue, withTexts: boolean): string[] {
  const message = step.method.startsWith('@') ? undefined : methodOf(step.method).output;
  const spell = (json: JsonValue): JsonValue => {
    const spelled = Array.isArray(json) ? json.map((item) => (message ? canonical(message, item) : item)) : json;
    return normalize(step, !Array.isArray(json) && message ? canonical(message, json) : spelled, withTexts);
  };
  const isListUnordered = Array.isArray(expected) && step.unordered?.includes('responses');
  const order = (json: JsonValue) => (isListUnordered ? sorted(json as JsonValue[]) : json);
  return differences(step, order(spell(expected)), order(spell(actual)), '', withTexts);
}

/** Drops what must not be compared, sorts what has no order, and turns raw tensors into their values. */
function normalize(step: Step, json: JsonValue, withTexts: boolean): JsonValue {
  if (Array.isArray(json)) {
    return json.map((item) => normalize(step, item, withTexts));
  }
  if (typeof json !== 'object' || json === null) {
    return json;
  }
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(json)) {
    if (step.volatile?.includes(key) || step.server_specific?.includes(key)) {
      continue;
    }
    if (key === 'raw_output_contents') {
      result[key] = valuesOfRaw((json.outputs ?? []) as JsonObject[], value as string[]);
    } else if (textFields.has(key) && !withTexts) {
      result[key] = '(some text)';
    } else {
      const normal = normalize(step, value, withTexts);
      result[key] = step.unordered?.includes(key) ? sorted(normal as JsonValue[]) : normal;
    }
  }
  return result;
}

function sorted(list: JsonValue[]): JsonValue[] {
  return [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function differences(step: Step, expected: JsonValue, actual: JsonValue, path: string, withTexts: boolean): string[] {
  if (isContainer(expected) && isContainer(actual) && Array.isArray(expected) === Array.isArray(actual)) {
    const [left, right] = [expected as JsonObject, actual as JsonObject];
    const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...keys].flatMap((key) =>
      differences(step, left[key] ?? null, right[key] ?? null, path ? `${path}.${key}` : key, withTexts),
    );
  }
  const isText = textFields.has(path.split('.').at(-1)!);
  const isSame =
    isText && withTexts && typeof expected === 'string' && typeof actual === 'string'
      ? sameText(step, expected, actual)
      : JSON.stringify(expected) === JSON.stringify(actual);
  return isSame ? [] : [`${path || 'answer'}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`];
}

function isContainer(json: JsonValue): json is JsonObject | JsonValue[] {
  return typeof json === 'object' && json !== null;
}
