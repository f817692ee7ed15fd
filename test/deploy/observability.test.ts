import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { canRender, type Manifest, podsOf, renderOverlay, whereRendered } from './rendered.ts';

const manifests = renderOverlay('production');

/** A file of a config map, by the beginning of its name. */
function file(name: string, key: string): Manifest {
  const found = manifests.find(
    ({ kind, metadata, data }) => kind === 'ConfigMap' && metadata.name.startsWith(name) && key in data,
  );
  return parse(found!.data[key]);
}

/** The port of a container that a service's address leads to. */
function portBehind(address: string): number {
  const [, host, port = '80'] = /^(?:http:\/\/)?([\w-]+)(?::(\d+))?(?:\/.*)?$/.exec(address)!;
  const { spec } = manifests.find(({ kind, metadata }) => kind === 'Service' && metadata.name === host)!;
  const { targetPort } = spec.ports.find((each: Manifest) => each.port === Number(port));
  const [key, value] = Object.entries(spec.selector as Record<string, string>)[0]!;
  const { containers } = podsOf(manifests).find(({ labels }) => labels[key] === value)!.spec;
  return containers[0].ports.find(({ name }: Manifest) => name === targetPort).containerPort;
}

const portOf = (endpoint: string) => Number(endpoint.split(':').at(-1));

whereRendered('observability', () => {
  describe.each(['collector', 'jaeger'])('the configuration of %s', (name) => {
    const config = canRender ? file(name, 'config.yaml') : ({} as Manifest);

    test('its pipelines use all of its components, and no others', () => {
      const used = { receivers: new Set(), processors: new Set(), exporters: new Set() };
      for (const pipeline of Object.values(config.service.pipelines) as Manifest[]) {
        for (const kind of Object.keys(used) as (keyof typeof used)[]) {
          for (const part of pipeline[kind]) {
            used[kind].add(part);
          }
        }
      }
      for (const [kind, parts] of Object.entries(used)) {
        expect({ kind, parts: [...parts].sort() }).toEqual({ kind, parts: Object.keys(config[kind]).sort() });
      }
      expect([...config.service.extensions].sort()).toEqual(Object.keys(config.extensions).sort());
    });

    test('it listens where its container says', () => {
      const { containers } = podsOf(manifests).find(({ owner }) => owner.metadata.name === name)!.spec;
      const ports = new Map(containers[0].ports.map(({ name, containerPort }: Manifest) => [name, containerPort]));
      const { receivers, extensions, service } = config;
      expect(portOf(receivers.otlp.protocols.grpc.endpoint)).toBe(ports.get('otlp'));
      expect(service.telemetry.metrics.readers[0].pull.exporter.prometheus.port).toBe(ports.get('metrics'));
      const health = extensions.health_check ?? extensions.healthcheckv2.http;
      expect(portOf(health.endpoint)).toBe(ports.get('health'));
      if (name === 'collector') {
        expect(portOf(receivers.otlp.protocols.http.endpoint)).toBe(ports.get('otlp-http'));
      } else {
        expect(portOf(extensions.jaeger_query.http.endpoint)).toBe(ports.get('http'));
      }
    });
  });

  test('Prometheus scrapes the metrics ports of pods that have not ended', () => {
    const [{ relabel_configs: rules }] = file('prometheus', 'prometheus.yaml').scrape_configs;
    const scrapedWith = (phase: string, port: string) => {
      const labels: Record<string, string> = {
        __meta_kubernetes_pod_phase: phase,
        __meta_kubernetes_pod_container_port_name: port,
      };
      return (rules as Manifest[])
        .filter(({ action }) => action === 'keep' || action === 'drop')
        .every(({ action, regex, source_labels: [label] }) => {
          expect(Object.keys(labels)).toContain(label);
          return new RegExp(`^(?:${regex})$`).test(labels[label]!) === (action === 'keep');
        });
    };
    expect(
      ['Pending', 'Running', 'Unknown', 'Succeeded', 'Failed'].filter((phase) => scrapedWith(phase, 'metrics')),
    ).toEqual(['Pending', 'Running', 'Unknown']);
    expect(scrapedWith('Running', 'grpc')).toBe(false);
  });

  test('traces go from every process to the collector, and from there to Jaeger', () => {
    const { data } = manifests.find(({ kind, data }) => kind === 'ConfigMap' && 'FUSIONFRAMES_PRESET' in data)!;
    expect(portBehind(data.OTEL_EXPORTER_OTLP_ENDPOINT)).toBe(4317);
    expect(portBehind(file('collector', 'config.yaml').exporters.otlp.endpoint)).toBe(4317);
    const triton = podsOf(manifests).find(({ owner }) => owner.metadata.name === 'keyframes-backend')!.spec;
    const [url] = triton.containers[0].command.flatMap((option: string) => /url=(\S+)$/.exec(option)?.[1] ?? []);
    expect(portBehind(url)).toBe(4318);
  });

  test('Grafana finds Prometheus, Jaeger and the dashboard', () => {
    const { datasources } = file('grafana-provisioning', 'datasources.yaml');
    expect(datasources.map(({ type, url }: Manifest) => [type, portBehind(url)])).toEqual([
      ['prometheus', 9090],
      ['jaeger', 16686],
    ]);
    const { containers, volumes } = podsOf(manifests).find(({ owner }) => owner.metadata.name === 'grafana')!.spec;
    const [provider] = file('grafana-provisioning', 'dashboards.yaml').providers;
    const mount = containers[0].volumeMounts.find(({ mountPath }: Manifest) => mountPath === provider.options.path);
    const { configMap } = volumes.find(({ name }: Manifest) => name === mount.name);
    const { data } = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === configMap.name)!;
    // It uses the installed Prometheus, of any version.
    expect(JSON.parse(data['dashboard.json']).templating.list[0]).toMatchObject({
      type: 'datasource',
      query: 'prometheus',
    });
    const provisioned = volumes.find(({ name }: Manifest) => name === 'provisioning').configMap.items;
    expect(provisioned.map(({ path }: Manifest) => path.split('/')[0])).toEqual(['datasources', 'dashboards']);
  });
});
