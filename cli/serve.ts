import { Argument, Command } from 'commander';

/** Where each service listens when nothing else is said: on this machine only. */
const ports: Record<string, number> = {
  gateway: 50050,
  'text-encoder': 50051,
  keyframes: 50052,
  interpolation: 50053,
  decoder: 50054,
  inference: 8001,
};

export function serveCommand(): Command {
  return new Command('serve')
    .description('Run one service, or without a name all of them behind one gateway; see the README for its settings.')
    .addArgument(new Argument('[service]', 'which service').choices(Object.keys(ports)))
    .option('--listen <host:port>', 'where to listen (default: 127.0.0.1 and the port of the service)')
    .action(async (name: string | undefined, options: { listen?: string }) => {
      const { serveUntilInterrupted } = await import('./run-service.ts');
      await serveUntilInterrupted(name, options.listen ?? `127.0.0.1:${ports[name ?? 'gateway']}`);
    });
}
