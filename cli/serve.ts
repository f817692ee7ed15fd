import { Argument, Command } from 'commander';
import { isListenAddress } from '../services/kit/addresses.ts';
import { invalidField } from '../services/kit/errors.ts';
import { forEachStage, stages } from '../services/pipeline/stages.ts';
import type { ServiceName } from './services.ts';

/** Where each service listens when nothing else is said: on this machine only. */
const ports: Record<ServiceName, number> = {
  gateway: 50050,
  ...forEachStage((name) => stages[name].port),
  inference: 8001,
};

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run one service, or without a name all of them behind one gateway; see docs/settings.md.')
    .addArgument(new Argument('[service]', 'which service').choices(Object.keys(ports)))
    .argument('[flags...]', "with inference, after --: tritonserver's flags, such as --model-control-mode=poll")
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
