/**
 * `fusionframes/client`: a gateway's videos over gRPC or HTTP, behind one interface. README.md beside this file has
 * examples.
 */
export { FusionError } from '../../services/kit/errors.ts';
export type { ClientTls } from '../../services/kit/tls.ts';
export type {
  AdminGateway,
  AdminVideo,
  ApiKey,
  FailureGroup,
  KeySettings,
  OperatorAction,
  QueueOfKey,
} from './admin.ts';
export {
  type AdminClient,
  type AdminVideosOptions,
  connectAdmin,
  type FailuresOptions,
  type KeysOptions,
  type RevokeOptions,
} from './admin-client.ts';
export { connectGrpc, type GrpcClientOptions } from './grpc-client.ts';
export type { HttpClientOptions } from './http-calls.ts';
export { connectHttp } from './http-client.ts';
export {
  type FileInfo,
  isFinished,
  type Model,
  type NamedFile,
  type Settings,
  type StageProgress,
  type Usage,
  type UsageGroup,
  type Video,
  type VideoFailure,
  type VideoState,
} from './video.ts';
export type {
  BatchOptions,
  CallOptions,
  Download,
  DownloadOptions,
  FinishVideo,
  ListOptions,
  NewVideo,
  Remix,
  UsageOptions,
  VideoClient,
  WatchOptions,
} from './video-client.ts';
