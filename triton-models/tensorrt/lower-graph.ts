import { TensorProto_DataType as ElementType, type GraphProto, type NodeProto } from '../../proto/gen/onnx/onnx.ts';
import { elementTypesOf } from './element-types.ts';

/** Rewrites a graph to the operators and types that TensorRT supports. */
export function lowerGraph(graph: GraphProto): GraphProto {
  const types = elementTypesOf(graph);
  const node = graph.node.flatMap((each) =>
    each.opType === 'Clip' && types.get(each.input[0]!) === ElementType.INT64 ? clipOfIntegers(each) : [each],
  );
  return { ...graph, node: nameOutputs(graph, node) };
}

/** TensorRT only clips floating-point numbers. */
function clipOfIntegers({ name, input, output }: NodeProto): NodeProto[] {
  const [x, min, max] = input as [string, string, string];
  const raised = `${name}/raised`;
  return [
    { name: raised, opType: 'Max', input: [x, min], output: [raised], attribute: [] },
    { name, opType: 'Min', input: [raised, max], output, attribute: [] },
  ];
}

/** Names outputs at the nodes that compute them instead of through Identities, which TensorRT lacks for bytes. */
function nameOutputs(graph: GraphProto, nodes: readonly NodeProto[]): NodeProto[] {
  const outputs = new Set(graph.output.map(({ name }) => name));
  const madeInside = new Set(nodes.flatMap(({ output }) => output));
  const names = new Map<string, string>();
  for (const { opType, input, output } of nodes) {
    if (opType === 'Identity' && outputs.has(output[0]!) && madeInside.has(input[0]!) && !names.has(input[0]!)) {
      names.set(input[0]!, output[0]!);
    }
  }
  const renamed = (name: string) => names.get(name) ?? name;
  return nodes
    .filter(({ opType, input, output }) => opType !== 'Identity' || names.get(input[0]!) !== output[0])
    .map((node) => ({ ...node, input: node.input.map(renamed), output: node.output.map(renamed) }));
}
