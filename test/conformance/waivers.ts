import type { Step } from './exchanges.ts';

/** A difference that is left on purpose. */
export interface Waiver {
  reason: string;
  matches(scenario: string, step: Step): boolean;
}

export const waivers: Waiver[] = [
  {
    reason:
      'ONNX Runtime for Node takes text only: BYTES that are not UTF-8 are refused here instead of changed silently',
    matches: (_, step) => step.name === 'bytes raw not utf-8',
  },
];
