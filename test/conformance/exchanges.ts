import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';

/** A gRPC status as it was recorded. */
export interface RecordedStatus {
  code: number;
  code_name: string;
  message: string;
  /** The text before Node's HTTP/2 layer dropped it. */
  message_on_the_wire?: string;
}

/** One call, or a helper that starts with `@`; the folder's README explains each field. */
export interface Step {
  name: string;
  method: string;
  request?: JsonObject;
  requests?: JsonObject[];
  metadata?: Record<string, string>;
  pacing?: 'wait_each' | 'all_at_once';
  response?: JsonObject;
  error?: RecordedStatus;
  responses?: JsonObject[];
  end?: RecordedStatus;
  volatile?: string[];
  unordered?: string[];
  server_specific?: string[];
  message_from_runtime?: boolean;
  named_input_may_differ?: boolean;
}

/** Steps that were played on one freshly started server. */
export interface Scenario {
  name: string;
  server_flags: string[];
  /** Only these models are in the repository. */
  models?: string[];
  steps?: Step[];
  /** The server ended by itself at the start. */
  server_exit_code?: number;
}

export interface Recording {
  scenarios: Scenario[];
  /** The model repository. */
  models: string;
}

/** Reads a folder of recorded exchanges. Throws when it has none. */
export function readRecording(folder: string): Recording {
  const file = join(folder, 'exchanges.json');
  const models = join(folder, 'models');
  if (!existsSync(file) || !existsSync(models)) {
    throw new Error(`${folder}: exchanges.json and models/ expected there`);
  }
  return { scenarios: JSON.parse(readFileSync(file, 'utf8')) as Scenario[], models };
}

/** The outcome of one step, in the notation of the recording. */
export interface Outcome {
  response?: JsonValue;
  error?: { code: number; message: string };
  responses?: JsonValue[];
  end?: { code: number; message: string };
}
