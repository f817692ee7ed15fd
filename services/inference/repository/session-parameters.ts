import { availableParallelism } from 'node:os';
import type { ModelConfig } from '../../../proto/gen/model_config.ts';
import { invalidArgument } from '../errors.ts';

/** What a parameter's text must be. */
interface Allowed {
  pattern: RegExp;
  mustBe: string;
}

const count: Allowed = { pattern: /^\d{1,4}$/, mustBe: 'a whole number from 0 to 9999' };
const flag: Allowed = { pattern: /^[01]$/, mustBe: '0 or 1' };
const devices = /^(cpu|gpu):\d+(;(cpu|gpu):\d+)*$/;

const threadsName = 'intra_op_thread_count';

/** Parameters of Triton's ONNX Runtime backend. A model may have others, which only its clients read. */
const known: Readonly<Record<string, Allowed>> = {
  [threadsName]: count,
  inter_op_thread_count: count,
  execution_mode: flag,
  enable_mem_arena: flag,
  enable_mem_pattern: flag,
  share_session_between_instances: { pattern: /^(true|false|yes|no|[01])$/i, mustBe: 'true or false' },
  'memory.enable_memory_arena_shrinkage': { pattern: devices, mustBe: 'devices such as cpu:0;gpu:0' },
};

/** Throws INVALID_ARGUMENT for an invalid value of a known parameter. */
export function checkSessionParameters({ name, parameters }: ModelConfig): void {
  for (const [key, { pattern, mustBe }] of Object.entries(known)) {
    const text = parameters[key]?.stringValue;
    if (text !== undefined && !pattern.test(text)) {
      throw invalidArgument(`parameter '${key}' of model '${name}': must be ${mustBe} (got '${text}')`);
    }
  }
}

/** The known parameters that this server ignores, because they only trade speed for memory. */
export function ignoredParameters({ parameters }: ModelConfig): string[] {
  return Object.keys(known).filter((key) => key !== threadsName && parameters[key] !== undefined);
}

/**
 * A checked configuration may set the model's threads, as for Triton's ONNX Runtime backend. Clients can send
 * configurations, so no more than there are processors are started: more would not be faster, and thousands would stop
 * the machine.
 */
export function intraOpThreads({ parameters }: ModelConfig, usual: number): number {
  const text = parameters[threadsName]?.stringValue;
  return text === undefined ? usual : Math.min(Number(text), availableParallelism());
}
