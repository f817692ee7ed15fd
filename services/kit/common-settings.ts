import { logLevels, logSettings } from './log.ts';
import { tlsSettings } from './process-tls.ts';
import { decimal, hostPort, oneOf, type Setting, text } from './settings.ts';

/** Settings of every service. */
export const commonSettings = {
  preset: {
    name: 'FUSIONFRAMES_PRESET',
    description: "Preset to serve: a name, or the path of a preset's .json file",
    schema: text('nano'),
  },
  drainSeconds: {
    name: 'FUSIONFRAMES_DRAIN_SECONDS',
    description: 'How long jobs and calls in progress may go on after SIGTERM, seconds',
    schema: decimal(10, 0, 86_400),
  },
  ...logSettings,
  logLevel: {
    name: 'FUSIONFRAMES_LOG_LEVEL',
    description: `Lowest severity that is logged: ${logLevels.join(', ')}`,
    schema: oneOf(logLevels, 'info'),
  },
  metricsAddress: {
    name: 'FUSIONFRAMES_METRICS_ADDRESS',
    description:
      'host:port that serves /metrics to Prometheus and /healthz and /readyz to probes, without TLS; empty: nowhere',
    schema: hostPort(''),
  },
  ...tlsSettings,
} satisfies Record<string, Setting<unknown>>;
