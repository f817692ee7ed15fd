import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Status } from 'nice-grpc-common';
import { TensorProto_DataType as ElementType, type GraphProto, type ModelProto } from '../../proto/gen/onnx/onnx.ts';
import { FusionError } from '../../services/kit/errors.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { castType, elementTypesOf, mainInput, typeName } from './element-types.ts';

/** Operators and types supported by TensorRT's ONNX parser, according to `source`. */
interface SupportedOperators {
  parser: string;
  /** Of TensorRT, major and minor. */
  version: string;
  source: string;
  opsets: { first: number; last: number };
  /** Types allowed for inputs and outputs. */
  inputTypes: string[];
  /** Types allowed for each operator. */
  operators: Record<string, string[]>;
}

let list: SupportedOperators | undefined;

export function supportedOperators(): SupportedOperators {
  const path = join(packageRoot, 'triton-models', 'tensorrt', 'operators.json');
  list ??= JSON.parse(readFileSync(path, 'utf8')) as SupportedOperators;
  return list;
}

/**
 * Checks a model against the operators and types that TensorRT supports (`operators.json`). Throws FAILED_PRECONDITION
 * naming each unsupported node, what it is and what is allowed.
 */
export function checkOperators({ graph, opsetImport }: ModelProto): void {
  const supported = supportedOperators();
  const { first, last } = supported.opsets;
  const faults = opsetImport
    .filter(({ domain, version }) => domain !== '' || version < first || version > last)
    .map(({ domain, version }) => `opset ${version} of domain "${domain}"; must be ${first} to ${last} of domain ""`);
  faults.push(...nodeFaults(graph!, supported));
  if (faults.length > 0) {
    const message = `${graph!.name}: ${supported.parser} does not support it:${faults.map((fault) => `\n  ${fault}`).join(';')}`;
    throw new FusionError(Status.FAILED_PRECONDITION, message, { reason: 'UNSUPPORTED_OPERATOR', field: 'target' });
  }
}

function nodeFaults(graph: GraphProto, { operators, inputTypes }: SupportedOperators): string[] {
  const types = elementTypesOf(graph);
  const atTheEdge = new Set([...graph.input, ...graph.output].map(({ name }) => name));
  const faults: string[] = [];
  for (const node of graph.node) {
    const allowed = Object.hasOwn(operators, node.opType) ? operators[node.opType]! : undefined;
    const used = node.opType === 'Cast' ? [types.get(node.input[0]!)!, castType(node)] : [types.get(mainInput(node))!];
    const wrong = used.map(typeName).filter((type) => allowed && !allowed.includes(type));
    if (allowed === undefined) {
      faults.push(`node ${node.name}: operator ${node.opType}, which is not on the list`);
    } else if (wrong.length > 0) {
      faults.push(
        `node ${node.name}: operator ${node.opType} of ${wrong.join(', ')}; supported: ${allowed.join(', ')}`,
      );
    }
    for (const name of node.output.filter((each) => types.get(each) === ElementType.UINT8 && !atTheEdge.has(each))) {
      faults.push(
        `node ${node.name}: ${name} is UINT8 inside the graph; only the graph's own inputs and outputs may be`,
      );
    }
  }
  for (const name of atTheEdge) {
    const type = typeName(types.get(name)!);
    if (!inputTypes.includes(type)) {
      faults.push(`tensor ${name}: ${type}; must be one of ${inputTypes.join(', ')}`);
    }
  }
  return faults;
}
