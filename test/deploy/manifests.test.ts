import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { metrics } from '../../services/kit/telemetry/metric-registry.ts';
import { firstFrameModelNames, loadPreset } from '../../services/pipeline/preset.ts';
import { addressVariable, type StageName, stageNames, stages } from '../../services/pipeline/stages.ts';
import { matches, RenderedOverlay } from './overlay.ts';
import { containersOf, type Manifest, overlays, runsOurImage, stringsIn, whereRendered } from './rendered.ts';
import { expectSetting } from './settings.ts';

/** Names of the gauges, as Prometheus knows them: they have no unit in theirs. */
const prometheusNames = Object.keys(metrics).map((name) => name.replaceAll('.', '_'));

/** After a drain: end watches (2 s), release jobs (3 s), close the database (5 s), send telemetry (5 s), and a margin. */
const maxAfterDrain = 20;

/** In place of the pod of a backend that is not deployed. */
const none = { containers: [] };

whereRendered.each(overlays)('%s', (overlay) => {
  const rendered = new RenderedOverlay(overlay);
  const { manifests, pods, containers } = rendered;
  const named = (kind: string, name: string) => rendered.named(kind, name);
  const backends = stageNames.length + (overlay === 'two-versions' ? 1 : 0);
  const namespace = overlay === 'production-in-another-namespace' ? 'video' : 'fusionframes';

  test('everything is in one namespace, without duplicates', () => {
    const outside = manifests.filter(
      ({ kind, metadata }) => !/^(Namespace|PriorityClass)$/.test(kind) && metadata.namespace !== namespace,
    );
    expect(outside).toEqual([]);
    expect(manifests.filter(({ kind }) => kind === 'Namespace').map(({ metadata }) => metadata.name)).toEqual([
      namespace,
    ]);
    const names = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(names).toEqual([...new Set(names)]);
  });

  test('values that contain a namespace contain this one', () => {
    const services = manifests.filter(({ kind }) => kind === 'Service').map(({ metadata }) => metadata.name);
    // Not a file such as /etc/prometheus/prometheus.yaml.
    const address = new RegExp(`(?<!\\w/)\\b(?:${services.join('|')})\\.([a-z]+)(?=[".:/]|$)`, 'g');
    const values = manifests.filter(({ kind }) => kind !== 'ConfigMap').flatMap((manifest) => stringsIn(manifest));
    const addressed = values.flatMap((value) => [...value.matchAll(address)].map(([, name]) => name));
    const subjects = manifests.flatMap((manifest) => (manifest.subjects ?? []) as Manifest[]);
    const found = [...addressed, ...subjects.map((subject) => subject.namespace)];
    expect(found.filter((name) => name !== namespace)).toEqual([]);
    const triggers = manifests.flatMap(({ kind, spec }) => (kind === 'ScaledObject' ? spec.triggers : []));
    expect(triggers.map((trigger) => trigger.metadata.serverAddress)).toEqual(
      triggers.map(() => `http://prometheus.${namespace}.svc:9090`),
    );
    if (overlay === 'production-in-another-namespace') {
      expect(subjects).toHaveLength(1);
      expect(triggers).toHaveLength(17);
      expect(named('Certificate', 'gateway')!.spec.dnsNames).toEqual([
        'gateway',
        'gateway.video',
        'gateway.video.svc',
        'gateway.video.svc.cluster.local',
      ]);
    }
  });

  /** The models that a stage calls. */
  const modelsOf = (name: StageName): string[] => {
    const { firstFrame } = loadPreset(rendered.configured('FUSIONFRAMES_PRESET')!);
    const more = name === 'keyframes' && firstFrame ? Object.values(firstFrameModelNames) : [];
    return [stages[name].model, ...more];
  };

  test('every stage is deployed, called by the gateway, and its backend has its models', () => {
    const gateway = named('Deployment', 'gateway')!.spec.template.spec.containers[0];
    for (const name of stageNames) {
      expect(named('Deployment', name)!.spec.template.spec.containers[0].args.slice(0, 2)).toEqual(['serve', name]);
      expect(rendered.variablesOf(gateway)).toHaveProperty(addressVariable(name), `dns:///${name}:50051`);
      const mounts = modelsOf(name).map((model) => [`/models/${model}`, model]);
      for (const { volumeMounts } of containersOf(named('Deployment', `${name}-backend`)?.spec.template.spec ?? none)) {
        const models = volumeMounts.filter(({ subPath }: Manifest) => subPath !== undefined);
        expect(models.map(({ mountPath, subPath }: Manifest) => [mountPath, subPath])).toEqual(mounts);
      }
    }
  });

  test('a stage scales by its own calls, and its backend by its own model and pool', () => {
    for (const name of stageNames) {
      const { definition } = stages[name];
      const [first, ...more] = modelsOf(name);
      const models = more.length === 0 ? `="${first}"` : `=~"${[first, ...more].join('|')}"`;
      const queriesOf = (object: string): string[] | undefined =>
        named('ScaledObject', object)?.spec.triggers.map((trigger: Manifest['spec']) => trigger.metadata.query);
      const calls = `sum(fusionframes_calls_active{rpc_method=~"${definition.fullName}/.+"})`;
      expect((queriesOf(name) ?? [calls])[0]).toBe(calls);
      const signals = [
        `sum(nv_inference_pending_request_count{model${models}})`,
        `sum(nv_gpu_utilization{app_kubernetes_io_name="${name}-backend"})`,
      ];
      expect(queriesOf(`${name}-backend`) ?? signals).toEqual(signals);
    }
  });

  test('an engine gets calls once its numbers agree with the recorded ones', () => {
    const engines = pods.filter(({ owner }) => owner.metadata.name.endsWith('-backend'));
    expect(engines.length).toBe(manifests.some(({ data }) => data && 'verify-engines.sh' in data) ? backends : 0);
    for (const { labels, spec } of engines) {
      const [triton, numbers] = spec.containers;
      expect(numbers.args.slice(0, 3)).toEqual(['models', 'verify', '/models']);
      expect(numbers.args).toEqual(expect.arrayContaining(['--address', '127.0.0.1:8001', '--gate']));
      const models = ({ volumeMounts }: Manifest) => volumeMounts.filter(({ name }: Manifest) => name === 'models');
      expect(models(numbers)).toEqual(models(triton));
      const [, port] = rendered.variablesOf(numbers).FUSIONFRAMES_METRICS_ADDRESS!.split(':');
      expect(numbers.ports).toEqual([{ name: numbers.readinessProbe.httpGet.port, containerPort: Number(port) }]);
      expect(numbers.readinessProbe.httpGet.path).toBe('/readyz');
      if (rendered.configured('FUSIONFRAMES_TLS_CA') !== undefined) {
        const [caller, callee] = [rendered.identityOf(spec, numbers), rendered.identityOf(spec)];
        expect([caller.trusts, callee.trusts]).toEqual([
          callee.certificate.issuerRef.name,
          caller.certificate.issuerRef.name,
        ]);
        // Its address is the loopback's, so it names the server by the label.
        expect(numbers.env).toContainEqual({
          name: 'FUSIONFRAMES_TLS_SERVER_NAME',
          valueFrom: { fieldRef: { fieldPath: "metadata.labels['app.kubernetes.io/name']" } },
        });
        expect(callee.certificate.dnsNames).toEqual([labels['app.kubernetes.io/name']]);
      }
    }
  });

  test('images are pinned', () => {
    expect(
      containers.filter(({ container }) => !/^[\w./-]+:[\w.-]*\d[\w.-]*$/.test(container.image)).map(({ at }) => at),
    ).toEqual([]);
  });

  test('containers run unprivileged, on a read-only root', () => {
    for (const { owner, spec } of pods) {
      expect({ of: owner.metadata.name, ...spec.securityContext }).toMatchObject({
        runAsNonRoot: true,
        runAsUser: expect.any(Number),
        seccompProfile: { type: 'RuntimeDefault' },
      });
      // Prometheus alone asks the cluster's API.
      expect(spec.automountServiceAccountToken).toBe(owner.metadata.name === 'prometheus');
    }
    for (const { container } of containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
  });

  test('containers declare resources, and long-running ones have probes at open ports', () => {
    for (const { at, container } of containers) {
      expect({ at, requests: container.resources?.requests, limits: container.resources?.limits }).toEqual({
        at,
        requests: expect.objectContaining({ cpu: expect.anything(), memory: expect.anything() }),
        limits: expect.objectContaining({ memory: expect.anything() }),
      });
    }
    for (const { spec } of pods) {
      for (const { name, ports, startupProbe, livenessProbe, readinessProbe } of spec.containers) {
        for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
          const port = probe?.httpGet?.port ?? probe?.grpc?.port;
          const opened = ports.flatMap((each: { name: string; containerPort: number }) => [
            each.name,
            each.containerPort,
          ]);
          expect({ name, probed: probe?.exec !== undefined || opened.includes(port) }).toEqual({ name, probed: true });
          // A process of a busy node takes more than the default of a second to answer.
          expect({ name, seconds: probe.timeoutSeconds }).toEqual({ name, seconds: 5 });
        }
      }
    }
  });

  test('the usual limit of CPUs admits every container', () => {
    for (const { spec } of manifests.filter(({ kind }) => kind === 'LimitRange')) {
      expect(spec.limits[0].defaultRequest).toEqual({ cpu: '100m' });
      const limit = Number(spec.limits[0].default.cpu);
      expect(containers.filter(({ container }) => Number(container.resources.requests.cpu) > limit)).toEqual([]);
    }
  });

  test('pods have more time to stop than they need', () => {
    const drain = Number(rendered.configured('FUSIONFRAMES_DRAIN_SECONDS'));
    for (const { owner, spec } of pods.filter(({ spec }) => ours(spec))) {
      const [{ lifecycle }] = spec.containers;
      const takes = lifecycle.preStop.sleep.seconds + drain + maxAfterDrain;
      expect({ of: owner.metadata.name, longer: spec.terminationGracePeriodSeconds > takes }).toEqual({
        of: owner.metadata.name,
        longer: true,
      });
    }
  });

  test('Triton has more time to stop than it needs', () => {
    const script = readFileSync(join(packageRoot, 'deploy', 'triton', 'start.sh'), 'utf8');
    const exit = Number(/--exit-timeout-secs=(\d+)/.exec(script)![1]);
    for (const { owner, spec } of pods.filter(({ owner }) => owner.metadata.name.endsWith('-backend'))) {
      const takes = spec.containers[0].lifecycle.preStop.sleep.seconds + exit;
      expect({ of: owner.metadata.name, longer: spec.terminationGracePeriodSeconds > takes + 10 }).toEqual({
        of: owner.metadata.name,
        longer: true,
      });
    }
  });

  test('at most one replica of a kind is replaced at a time, and the new one starts first', () => {
    for (const { owner, labels } of pods.filter(({ spec }) => ours(spec))) {
      expect(owner.spec.strategy.rollingUpdate).toEqual({ maxUnavailable: 0, maxSurge: 1 });
      const budgets = manifests.filter(
        ({ kind, spec }) => kind === 'PodDisruptionBudget' && matches(spec.selector.matchLabels, labels),
      );
      expect({ of: owner.metadata.name, budgets: budgets.map(({ spec }) => spec.maxUnavailable) }).toEqual({
        of: owner.metadata.name,
        budgets: [1],
      });
    }
  });

  test('names and ports exist', () => {
    for (const { metadata, spec } of manifests.filter(({ kind }) => kind === 'Service')) {
      const behind = pods.filter(({ labels }) => matches(spec.selector, labels));
      expect({ service: metadata.name, behind: behind.length }).toEqual({ service: metadata.name, behind: 1 });
      const opened = behind[0]!.spec.containers.flatMap(({ ports }: Manifest) => ports);
      for (const { targetPort } of spec.ports) {
        expect(opened.map(({ name }: { name: string }) => name)).toContain(targetPort);
      }
    }
    for (const { metadata, spec } of manifests.filter(({ kind }) => kind === 'PodDisruptionBudget')) {
      expect({
        budget: metadata.name,
        of: pods.filter(({ labels }) => matches(spec.selector.matchLabels, labels)).length,
      }).toEqual({ budget: metadata.name, of: 1 });
    }
    for (const { spec } of pods) {
      expect(named('ServiceAccount', spec.serviceAccountName)).toBeDefined();
      for (const volume of spec.volumes) {
        expect(rendered.hasSource(volume)).toBe(true);
      }
      for (const { volumeMounts } of containersOf(spec)) {
        const volumes = [...spec.volumes, ...rendered.claimTemplates(spec)].map(({ name }: { name: string }) => name);
        expect(volumes).toEqual(expect.arrayContaining(volumeMounts.map(({ name }: { name: string }) => name)));
      }
    }
  });

  test('all gateways share the same files, which outlast their pods', () => {
    const gateway = named('Deployment', 'gateway')!;
    const { containers, volumes } = gateway.spec.template.spec;
    const isInBucket = containers[0].env.some(({ name }: Manifest) => name === 'FUSIONFRAMES_STORAGE');
    const claim = volumes.find(({ persistentVolumeClaim }: Manifest) => persistentVolumeClaim)?.persistentVolumeClaim;
    expect(isInBucket || claim !== undefined).toBe(true);
    if (!isInBucket && gateway.spec.replicas !== 1) {
      expect(named('PersistentVolumeClaim', claim.claimName)!.spec.accessModes).toEqual(['ReadWriteMany']);
    }
  });

  test('configuration exists, with valid names and values', () => {
    for (const { at, container } of containers) {
      // As files: other processes see what the environment holds.
      expect({ at, secrets: (container.envFrom ?? []).filter(({ secretRef }: Manifest) => secretRef) }).toEqual({
        at,
        secrets: [],
      });
      const sources = (container.envFrom ?? []).map(({ configMapRef }: Manifest) => configMapRef);
      for (const { name } of sources) {
        expect({ at, name, there: rendered.isThere('ConfigMap', name) }).toEqual({
          at,
          name,
          there: true,
        });
      }
      for (const { name, value, valueFrom } of container.env ?? []) {
        expect({ at, name, secret: valueFrom?.secretKeyRef }).toEqual({ at, name, secret: undefined });
        const reference = valueFrom?.configMapKeyRef;
        if (reference) {
          const there = reference.key in { ...named('ConfigMap', reference.name)?.data };
          expect({ at, name, there }).toEqual({ at, name, there: true });
        } else if (valueFrom?.fieldRef === undefined && runsOurImage(container)) {
          expectSetting(name, value);
        }
      }
    }
    const settings = manifests.flatMap(({ kind, data }) => (kind === 'ConfigMap' ? Object.entries(data) : []));
    for (const [name, value] of settings.filter(([name]) => name.startsWith('FUSIONFRAMES_'))) {
      expectSetting(name, value as string);
    }
  });

  test('files named in settings are on a mount or in the image', () => {
    const { textEncoder, ...preset } = loadPreset(rendered.configured('FUSIONFRAMES_PRESET')!);
    for (const { at, container } of containers.filter(({ container }) => runsOurImage(container))) {
      const own = new Map((container.env ?? []).map(({ name, value }: Manifest) => [name, value]));
      const mounts: string[] = container.volumeMounts.map(({ mountPath }: Manifest) => mountPath);
      for (const path of [...own.values()].filter((value) => typeof value === 'string' && value.startsWith('/'))) {
        expect({ at, path, mounted: mounts.some((mount) => `${path}/`.startsWith(`${mount}/`)) }).toMatchObject({
          mounted: true,
        });
      }
      if (container.name === 'text-encoder') {
        const isInImage = /^\.\.\/weights\/nano\//.test(textEncoder.tokenizer);
        expect({ preset: preset.name, has: isInImage || own.has('FUSIONFRAMES_TOKENIZER') }).toMatchObject({
          has: true,
        });
      }
    }
  });

  test('scaled objects exist, with triggers that KEDA supports', () => {
    for (const { metadata, spec } of manifests.filter(({ kind }) => kind === 'ScaledObject')) {
      const target = named(spec.scaleTargetRef.kind ?? 'Deployment', spec.scaleTargetRef.name);
      expect({ of: metadata.name, there: target !== undefined }).toEqual({ of: metadata.name, there: true });
      // Else every `kubectl apply` would undo the scaling.
      expect({ of: metadata.name, replicas: target!.spec.replicas }).toEqual({
        of: metadata.name,
        replicas: undefined,
      });
      for (const { type, metadata: options } of spec.triggers) {
        expect(type).toBe('prometheus');
        const [metric] = /\b(fusionframes|nv)_\w+(?=\{)/.exec(options.query) ?? [];
        expect(/^nv_(inference_|gpu_utilization$)/.test(metric!) || prometheusNames.includes(metric!)).toBe(true);
        expect(Object.keys(options).sort()).toEqual(['query', 'serverAddress', 'threshold']);
      }
    }
  });

  test('with certificates, callers trust and are allowed by the services they call, under the name in the certificate', () => {
    if (rendered.configured('FUSIONFRAMES_TLS_CA') === undefined || named('Issuer', 'mesh') === undefined) {
      return;
    }
    const called = new Set<string>();
    for (const { owner, spec } of pods.filter(({ spec }) => ours(spec))) {
      const caller = rendered.identityOf(spec);
      const addresses = Object.values(rendered.variablesOf(spec.containers[0])).flatMap(
        (value = '') => /^dns:\/\/\/([\w-]+):\d+$/.exec(value)?.[1] ?? [],
      );
      for (const service of addresses) {
        const { selector } = named('Service', service)!.spec;
        const callee = pods.find(({ labels }) => matches(selector, labels))!;
        const { certificate, trusts, allows } = rendered.identityOf(callee.spec);
        expect({ service, names: certificate.dnsNames }).toEqual({ service, names: expect.arrayContaining([service]) });
        expect({ from: owner.metadata.name, to: service, trusted: caller.trusts }).toMatchObject({
          trusted: certificate.issuerRef.name,
        });
        expect({
          to: service,
          trusts,
          allowed: allows === undefined || allows.includes(caller.certificate.uris[0]),
        }).toEqual({
          to: service,
          trusts: caller.certificate.issuerRef.name,
          allowed: true,
        });
        called.add(service);
      }
    }
    // The gateway finds the stage of the second version in its file of routes, so only that stage's backend is seen here.
    expect(called.size).toBe(stageNames.length + backends);
  });

  test('every pod is reachable at the ports that its callers use', () => {
    const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy');
    if (policies.length === 0) {
      return;
    }
    for (const { owner, labels, spec } of pods) {
      const applying = policies.filter(({ spec: { podSelector } }) => matches(podSelector.matchLabels ?? {}, labels));
      const open = applying.flatMap(({ spec: { ingress } }) =>
        (ingress ?? []).flatMap(({ ports }: Manifest) => ports.map(({ port }: Manifest) => port)),
      );
      const used = spec.containers
        .flatMap(({ ports }: Manifest) => ports)
        // The kubelet alone asks these.
        .filter(({ name }: { name: string }) => name !== 'health' && name !== 'numbers');
      expect({ of: owner.metadata.name, open }).toEqual({
        of: owner.metadata.name,
        open: expect.arrayContaining(used.map(({ containerPort }: Manifest) => containerPort)),
      });
    }
  });
});

function ours({ containers: [first] }: Manifest['spec']): boolean {
  return runsOurImage(first);
}
