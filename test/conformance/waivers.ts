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
  {
    reason: 'Triton keeps the old model when files are sent a second time, whatever they hold; here they are loaded',
    matches: (_, step) =>
      step.method === 'RepositoryModelLoad' &&
      Object.keys((step.request?.parameters ?? {}) as object).some((key) => key.startsWith('file:')),
  },
];
