import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
} from '@bufbuild/protobuf';
import { fromText } from '@bufbuild/protobuf/txtpb';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { ModelConfig } from '../../../proto/gen/model_config.ts';
import { packageRoot } from '../../kit/package-root.ts';
import { parseJson } from '../../kit/parse-json.ts';
import { invalidArgument } from '../errors.ts';

let schema: DescMessage | undefined;

/** Reads a configuration in the protobuf text format (`config.pbtxt`). Throws INVALID_ARGUMENT with the place at fault. */
export function configFromText(text: string): ModelConfig {
  return read('config.pbtxt', () => fromText(configSchema(), text));
}

/** Reads a configuration in proto3 JSON, field names in either spelling. Throws INVALID_ARGUMENT. */
export function configFromJson(text: string): ModelConfig {
  return read('config', () => fromJson(configSchema(), parseJson(text) as JsonValue));
}

function read(source: string, parse: () => Parameters<typeof toBinary>[1]): ModelConfig {
  try {
    return ModelConfig.decode(toBinary(configSchema(), parse()));
  } catch (error) {
    throw invalidArgument(`${source}: ${(error as Error).message}`);
  }
}

/** The text and JSON forms need the messages' descriptors, which the generated code does not carry. */
function configSchema(): DescMessage {
  if (!schema) {
    const file = readFileSync(join(packageRoot, 'dist', 'proto', 'gen', 'model-config.binpb'));
    schema = createFileRegistry(fromBinary(FileDescriptorSetSchema, file)).getMessage('inference.ModelConfig')!;
  }
  return schema;
}
