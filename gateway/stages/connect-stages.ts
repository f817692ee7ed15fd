import type { CompatServiceDefinition } from 'nice-grpc';
import { DecoderServiceDefinition } from '../../proto/gen/fusionframes/v1/decoder.ts';
import { InterpolationServiceDefinition } from '../../proto/gen/fusionframes/v1/interpolation.ts';
import { KeyframesServiceDefinition } from '../../proto/gen/fusionframes/v1/keyframes.ts';
import { TextEncoderServiceDefinition } from '../../proto/gen/fusionframes/v1/text_encoder.ts';
import { connect, longCallSeconds } from '../../services/kit/channel.ts';
import { Scope } from '../../services/kit/scope.ts';
import type { ClientTls } from '../../services/kit/tls.ts';
import type { Stage } from './stage-call.ts';

/** Where each stage is reached, as `connect()` takes it. */
export interface StageAddresses {
  textEncoder: string;
  keyframes: string;
  interpolation: string;
  decoder: string;
}

/** The four stages, ready to be called. */
export interface Stages {
  textEncoder: Stage<TextEncoderServiceDefinition>;
  keyframes: Stage<KeyframesServiceDefinition>;
  interpolation: Stage<InterpolationServiceDefinition>;
  decoder: Stage<DecoderServiceDefinition>;
  close(): Promise<void>;
}

/**
 * Clients of the four stages. Nothing is sent yet: a stage that is down shows at its first call.
 *
 * @param tls default: none
 */
export function connectStages(addresses: StageAddresses, progressTimeoutSeconds: number, tls?: ClientTls): Stages {
  const scope = new Scope();
  const stage = <D extends CompatServiceDefinition>(name: string, definition: D, address: string): Stage<D> => {
    const { client, connected } = scope.add(
      connect(definition, address, { callTimeoutSeconds: longCallSeconds, ...(tls && { tls }) }),
    );
    return { client, connected, name, address, progressTimeoutSeconds };
  };
  return {
    textEncoder: stage('text encoder', TextEncoderServiceDefinition, addresses.textEncoder),
    keyframes: stage('keyframes', KeyframesServiceDefinition, addresses.keyframes),
    interpolation: stage('interpolation', InterpolationServiceDefinition, addresses.interpolation),
    decoder: stage('decoder', DecoderServiceDefinition, addresses.decoder),
    close: () => scope.close(),
  };
}

/** The same stages as one job calls them: `onWait` is told why a call waits for somebody to serve it, and when it no longer does. */
export function stagesOfJob(stages: Stages, onWait: Stage['onWait'] & object): Stages {
  const { textEncoder, keyframes, interpolation, decoder } = stages;
  return {
    ...stages,
    textEncoder: { ...textEncoder, onWait },
    keyframes: { ...keyframes, onWait },
    interpolation: { ...interpolation, onWait },
    decoder: { ...decoder, onWait },
  };
}
