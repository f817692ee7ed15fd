/** Answers each call with its request, on bare grpc-js whose codec passes bytes on. Writes its address. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { echoService } from './echo-service.ts';

const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
server.addService(
  { echo: echoService },
  { echo: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) => answer(null, call.request) },
);
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error) {
    throw error;
  }
  process.stdout.write(`127.0.0.1:${port}\n`);
});
