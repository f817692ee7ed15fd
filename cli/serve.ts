import { Command } from 'commander';
import { isListenAddress } from '../services/kit/addresses.ts';
import { invalidField } from '../services/kit/errors.ts';
import { forEachStage, stages } from '../services/pipeline/stages.ts';
import { gatewayPort } from './gateway-address.ts';
import { interruptSignal } from './interrupt.ts';
import { collectNamedLora, type NamedLora } from './lora-flag.ts';
import { loadService, type ServiceName, serviceNames } from './services/load-service.ts';

/** Default ports; the default host is 127.0.0.1. */
const ports: Record<ServiceName, number> = {
  gateway: gatewayPort,
  ...forEachStage((name) => stages[name].port),
  inference: 8001,
};

interface ServeOptions {
  listen?: string;
  preset?: string[];
  lora?: NamedLora[];
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run one service, or all of them behind one gateway; docs/settings.md lists the settings.')
    .argument('[service]', `one of ${serviceNames.join(', ')}`)
    .argument('[flags...]', "for inference, after --: tritonserver's flags, such as --model-control-mode=poll")
    .option('--listen <host:port>', 'where to listen (default: 127.0.0.1 and the port of the service)')
    .option(
      '--preset <name>',
      'preset to serve, in place of FUSIONFRAMES_PRESET; without a service it may be repeated, and the first is the default',
      (name: string, before: string[] = []) => [...before, name],
    )
    .option(
      '--lora <name=[model=]file[:scale]>',
      'without a service: also serve the first preset with this LoRA merged into its weights, for requests that name it; may be repeated',
      collectNamedLora,
    )
    .action(async (given: string | undefined, flags: string[], options: ServeOptions) => {
      const name = serviceNames.find((each) => each === given);
      if (given !== undefined && name === undefined) {
        throw invalidField('service', given, `one of ${serviceNames.join(', ')}`);
      }
      const address = options.listen ?? `127.0.0.1:${ports[name ?? 'gateway']}`;
      if (!isListenAddress(address)) {
        throw invalidField('--listen', address, 'host:port or unix:///path');
      }
      // Before the imports, which take a while.
      const signal = interruptSignal();
      const [{ serveUntilInterrupted }, service] = await Promise.all([import('./run-service.ts'), loadService(name)]);
      await serveUntilInterrupted(
        service,
        name ?? 'fusionframes',
        address,
        { flags, presets: options.preset ?? [], loras: options.lora ?? [] },
        signal,
      );
    });
}
