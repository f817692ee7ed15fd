import { readDocument } from './documents.ts';

/** Prometheus' rules as the Prometheus operator reads them. */
export function operatorAlerts(): string {
  const rules = readDocument('deploy/observability/alerts.yaml').replace(/^(#.*\n)+/, '');
  return `# Generated from deploy/observability/alerts.yaml by \`npm run docs\`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: fusionframes
spec:
${rules.replace(/^(?=.)/gm, '  ')}`;
}
