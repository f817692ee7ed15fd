/**
 * Calls the echo server whose address it was given, from a process whose grpc-js is as published. For each message, a number of
 * MiB, it makes one call and answers with the seconds that it took.
 */
import { Client, credentials } from '@grpc/grpc-js';
import { echoService } from './echo-service.ts';

const client = new Client(process.argv[2]!, credentials.createInsecure(), {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
});
const { path, requestSerialize, responseDeserialize } = echoService;
let bytes = Buffer.alloc(0);
process.on('message', (mebibytes: number) => {
  if (bytes.length !== mebibytes << 20) {
    bytes = Buffer.from(new Float32Array(mebibytes << 18).fill(1.5).buffer);
  }
  const started = performance.now();
  client.makeUnaryRequest(path, requestSerialize, responseDeserialize, bytes, (error, answer) => {
    if (error) {
      throw error;
    }
    if (answer!.length !== bytes.length) {
      throw new Error(`the answer has ${answer!.length} bytes`);
    }
    process.send!((performance.now() - started) / 1000);
  });
});
