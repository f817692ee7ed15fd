import type { LogSettingsRequest_SettingValue, LogSettingsResponse } from '../../../proto/gen/grpc_service.ts';
import type { CallOptions, TritonConnection } from './connection.ts';

/** Trace settings by name; an empty list clears a model's own value, so that the server's applies. */
export type TraceSettings = Record<string, readonly string[]>;

/** Log settings by name: switches, levels (`log_verbose_level`) and formats. */
export type LogSettings = Record<string, boolean | number | string>;

/** Calls that read and change what the server traces and logs. */
export class SettingsCalls {
  readonly #connection: TritonConnection;

  constructor(connection: TritonConnection) {
    this.#connection = connection;
  }

  /**
   * Changes the given trace settings and returns all of them (TraceSetting), the server's or one model's. Throws UNAVAILABLE
   * for a server built without tracing.
   */
  async trace(changes: TraceSettings = {}, options: CallOptions & { model?: string } = {}): Promise<TraceSettings> {
    const settings = Object.fromEntries(Object.entries(changes).map(([name, value]) => [name, { value: [...value] }]));
    const answer = await this.#connection.call('trace settings', options, (client, call) =>
      client.traceSetting({ settings, modelName: options.model ?? '' }, call),
    );
    return Object.fromEntries(Object.entries(answer.settings).map(([name, { value }]) => [name, value]));
  }

  /** Changes the given log settings and returns all of them (LogSettings). */
  async log(changes: LogSettings = {}, options: CallOptions = {}): Promise<LogSettings> {
    const settings = Object.fromEntries(
      Object.entries(changes).map(([name, value]) => [name, { parameterChoice: choiceOf(value) }]),
    );
    const answer = await this.#connection.call('log settings', options, (client, call) =>
      client.logSettings({ settings }, call),
    );
    return readLogSettings(answer);
  }
}

function choiceOf(value: boolean | number | string): NonNullable<LogSettingsRequest_SettingValue['parameterChoice']> {
  switch (typeof value) {
    case 'boolean':
      return { $case: 'boolParam', value };
    case 'number':
      return { $case: 'uint32Param', value };
    case 'string':
      return { $case: 'stringParam', value };
  }
}

function readLogSettings({ settings }: LogSettingsResponse): LogSettings {
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, { parameterChoice: choice }]) => (choice ? [[name, choice.value]] : [])),
  );
}
