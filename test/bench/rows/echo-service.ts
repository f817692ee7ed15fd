const identity = (bytes: Buffer) => bytes;

/** A unary method whose codec passes bytes on. Imports nothing, because services/kit changes how grpc-js handles messages. */
export const echoService = {
  path: '/echo/Echo',
  requestStream: false,
  responseStream: false,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
};
