import type { Step } from './exchanges.ts';

/** Whether two texts agree as far as the step's marks require: as sent, or as Node's HTTP/2 delivers it. */
export function sameText(step: Step, expected: string, actual: string): boolean {
  const prepare = (text: string) => relevant(step, text).trim();
  const allowed = [expected, step.error?.message_on_the_wire ?? expected].map(prepare);
  return allowed.includes(prepare(actual));
}

function relevant(step: Step, text: string): string {
  if (step.message_from_runtime) {
    return text.replace(/onnx runtime error.*/s, 'onnx runtime error');
  }
  if (step.named_input_may_differ) {
    return text.replace(/'[^']*'(,'[^']*')*/g, "'…'");
  }
  return text;
}
