import { expect, test } from '@jest/globals';
import { GRPCInferenceServiceDefinition, ModelInferRequest } from '../../../proto/gen/grpc_service.ts';
import { appendingBytes } from './append-bytes.ts';
import { frame, joinParts } from './appended-parts.ts';

const field = { name: 'rawInputContents', number: 7 };
const { requestType } = appendingBytes(GRPCInferenceServiceDefinition, 'modelInfer', 'requestType', field).methods
  .modelInfer;

test.each([
  ['no content', []],
  ['contents of several lengths', [new Uint8Array(), Uint8Array.of(1, 2, 3), new Uint8Array(70_000).fill(9)]],
  ['a part of a buffer', [new Uint8Array(100).fill(5).subarray(7, 20)]],
])('writes a message with %s as the generated code does', (_, rawInputContents) => {
  const message = ModelInferRequest.fromPartial({ modelName: 'nano', inputs: [{ name: 'X' }], rawInputContents });
  const expected = ModelInferRequest.encode(message).finish();
  const written = Buffer.from(requestType.encode(message).finish());
  expect(joinParts(written).equals(expected)).toBe(true);
  const framed = joinParts(frame(written));
  expect([framed.readUInt8(0), framed.readUInt32BE(1)]).toEqual([0, expected.length]);
  expect(framed.subarray(5).equals(expected)).toBe(true);
});
