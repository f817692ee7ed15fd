import { Argument, Command } from 'commander';
import { isListenAddress } from '../services/kit/addresses.ts';
import { invalidField } from '../services/kit/errors.ts';
import { forEachStage, stages } from '../services/pipeline/stages.ts';
import type { ServiceName } from './services.ts';

/** Default ports; the default host is 127.0.0.1. */
const ports: Record<ServiceName, number> = {
  gateway: 50050,
  ...forEachStage((name) => stages[name].port),
  inference: 8001,
};

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run one service, or all of them behind one gateway; docs/settings.md lists the settings.')
    .addArgument(new Argument('[service]', 'which service').choices(Object.keys(ports)))
    .argument('[flags...]', "for inference, after --: tritonserver's flags, such as --model-control-mode=poll")
    .option('--listen <host:port>', 'where to listen (default: 127.0.0.1 and the port of the service)')
    .action(async (name: ServiceName | undefined, flags: string[], options: { listen?: string }) => {
      const address = options.listen ?? `127.0.0.1:${ports[name ?? 'gateway']}`;
      if (!isListenAddress(address)) {
        throw invalidField('--listen', address, 'host:port or unix:///path');
      }
      const [{ serveUntilInterrupted }, { services, wholeMesh }] = await Promise.all([
        import('./run-service.ts'),
        import('./services.ts'),
      ]);
      await serveUntilInterrupted(
        name === undefined ? wholeMesh : services[name],
        name ?? 'fusionframes',
        address,
        flags,
      );
    });
}
