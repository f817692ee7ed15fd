import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { createFileRegistry, fromBinary, fromJson, type JsonValue } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Any, anyUnpack, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { packageRoot } from '../../services/kit/package-root.ts';

const file = join(packageRoot, 'test', 'fixtures', 'envoy', 'api.binpb.gz');
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, gunzipSync(readFileSync(file))));

/**
 * The deprecated fields that an Envoy configuration sets. Throws if it is not an `envoy.config.bootstrap.v3.Bootstrap`: if a
 * field is unknown or has another type.
 */
export function deprecatedFields(configuration: JsonValue): string[] {
  const bootstrap = registry.getMessage('envoy.config.bootstrap.v3.Bootstrap')!;
  return deprecatedIn(reflect(bootstrap, fromJson(bootstrap, configuration, { registry })));
}

function deprecatedIn(message: ReflectMessage): string[] {
  if (message.desc.typeName === 'google.protobuf.Any') {
    const packed = anyUnpack(message.message as Any, registry)!;
    return deprecatedIn(reflect(registry.getMessage(packed.$typeName)!, packed));
  }
  return message.fields
    .filter((field) => message.isSet(field))
    .flatMap((field) => {
      const inner =
        field.fieldKind === 'message'
          ? [message.get(field)]
          : field.fieldKind === 'list' && field.listKind === 'message'
            ? [...(message.get(field) as Iterable<ReflectMessage>)]
            : [];
      return [...(field.deprecated ? [String(field)] : []), ...inner.flatMap(deprecatedIn)];
    });
}
