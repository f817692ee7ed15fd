import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { maxPictureRequestBytes } from '../../gateway/api/max-request-bytes.ts';
import { packageRoot } from '../../services/kit/package-root.ts';
import { temporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { scopeOfEachTest } from '../../services/kit/testing/test-scope.ts';
import { type Manifest, renderOverlay, renderPublished, whereRendered } from './rendered.ts';

const scope = scopeOfEachTest();
const read = (...path: string[]) => parse(readFileSync(join(packageRoot, 'deploy', ...path), 'utf8'));

whereRendered('what others reach and read', () => {
  const published = renderPublished();
  const example = renderOverlay('example');
  const all = [...published, ...example];
  const only = (manifests: readonly Manifest[], kind: string) => manifests.find((each) => each.kind === kind)!;

  test('ingresses and routes lead to ports of the gateway', () => {
    const { ports } = all.find(({ kind, metadata }) => kind === 'Service' && metadata.name === 'gateway')!.spec;
    const backends = [
      ...example
        .filter(({ kind }) => kind === 'Ingress')
        .flatMap(({ spec }) => spec.rules.map((rule: Manifest) => rule.http.paths[0].backend.service))
        .map(({ name, port }) => [name, ports.find((each: Manifest) => each.name === port.name)?.port]),
      ...published
        .filter(({ kind }) => /Route$/.test(kind))
        .flatMap(({ spec }) => spec.rules.flatMap(({ backendRefs }: Manifest) => backendRefs))
        .map(({ name, port }) => [name, ports.find((each: Manifest) => each.port === port)?.port]),
    ];
    expect(backends).toEqual([
      ['gateway', 80],
      ['gateway', 50050],
      ['gateway', 50050],
      ['gateway', 80],
    ]);
  });

  test('ingresses admit the largest request', () => {
    const sizes = example
      .filter(({ kind }) => kind === 'Ingress')
      .map(({ metadata }) => metadata.annotations?.['nginx.ingress.kubernetes.io/proxy-body-size']);
    expect(sizes).toEqual(Array(2).fill(`${Math.ceil(maxPictureRequestBytes / 2 ** 20)}m`));
  });

  test('what the operator scrapes gets the same labels', () => {
    const [{ port, relabelings }] = only(published, 'PodMonitor').spec.podMetricsEndpoints;
    expect(port).toBe('metrics');
    const [scrape] = read('observability', 'prometheus.yaml').scrape_configs;
    const labels = scrape.relabel_configs.filter((each: Manifest) => each.target_label);
    expect(relabelings.map((each: Manifest) => [each.sourceLabels?.[0], each.targetLabel, each.replacement])).toEqual(
      labels.map((each: Manifest) => [each.source_labels?.[0], each.target_label, each.replacement]),
    );
  });

  test('the backup runs unprivileged, by the release of the PostgreSQL that we deploy', () => {
    const { spec } = only(example, 'CronJob').spec.jobTemplate.spec.template;
    const [{ image, securityContext, volumeMounts }] = spec.containers;
    const postgres = read('compose.yaml').services.postgres;
    expect(image).toBe(postgres.image);
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(spec.volumes.map(({ name }: Manifest) => name)).toEqual(volumeMounts.map(({ name }: Manifest) => name));
    const claims = example.filter(({ kind }) => kind === 'PersistentVolumeClaim').map(({ metadata }) => metadata.name);
    expect(claims).toContain(spec.volumes[0].persistentVolumeClaim.claimName);
  });

  test('the backup passes the database on without showing its password', async () => {
    const folder = temporaryFolder(scope);
    await writeFile(join(folder, 'url'), 'postgres://me%40x:a%2Fb%25\\%5Cc@db:5432/video?sslmode=verify-full');
    const programs = {
      pg_dump: 'printf "%s " "$1" "$PGPASSWORD" >"$(echo "$3" | cut -d= -f2)"',
      pg_restore: 'printf "%s " "$PGPASSWORD" "$@"',
    };
    for (const [name, body] of Object.entries(programs)) {
      await writeFile(join(folder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    }
    const [command, flags, script] = only(example, 'CronJob').spec.jobTemplate.spec.template.spec.containers[0].command;
    const here = script.replace('/secrets/database/url', join(folder, 'url')).replaceAll('/backups', folder);
    const env = { PATH: `${folder}:${process.env.PATH}` };
    execFileSync(command, [flags, here], { env });
    const [dump] = (await readdir(folder)).filter((name) => /^fusionframes-.*Z\.dump$/.test(name));
    expect(await readFile(join(folder, dump!), 'utf8')).toBe(
      '--dbname=postgres://me%40x@db:5432/video?sslmode=verify-full a/b%\\\\c ',
    );
    await writeFile(join(folder, 'fusionframes-2020-01-01T00-00-00Z.dump'), '');
    const restored = execFileSync(command, [flags, here], { env: { ...env, RESTORE: 'newest' }, encoding: 'utf8' });
    expect(restored).toContain(`a/b%\\\\c --no-owner --single-transaction --dbname=postgres://me%40x@db:5432/video`);
    expect(restored.trim().endsWith(join(folder, dump!))).toBe(true);
  });

  test('a release renders manifests that name its image', async () => {
    const folder = temporaryFolder(scope);
    const image = 'ghcr.io/someone/fusionframes:v1.2.3';
    execFileSync('bash', [join(packageRoot, 'deploy', 'kubernetes', 'render-bundle.sh'), image, folder]);
    const ofOurImage = ['example', 'kandinsky-video-1.1', 'laptop', 'models', 'models-1.1', 'production'];
    const names = [...ofOurImage, 'models-volume'].map((name) => `${name}.yaml`);
    expect((await readdir(folder)).sort()).toEqual(['alerts.yaml', 'dashboard.json', ...names].sort());
    for (const name of ofOurImage.map((each) => `${each}.yaml`)) {
      const text = await readFile(join(folder, name), 'utf8');
      const images = [...text.matchAll(/image: (\S*fusionframes\S*)/g)].map(([, found]) => found);
      expect([...new Set(images)]).toEqual([image]);
    }
  }, 60_000);

  test('the example pins what production leaves open', () => {
    const deployed = (name: string) =>
      example.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name)!.spec.template.spec;
    const backend = deployed('decoder-backend');
    expect(backend.nodeSelector).toEqual({ 'nvidia.com/gpu.product': expect.any(String) });
    const classes = example.filter(({ kind }) => kind === 'PriorityClass').map(({ metadata }) => metadata.name);
    expect(classes).toContain(backend.priorityClassName);
    const { priorityClassName, topologySpreadConstraints } = deployed('gateway');
    expect(classes).toContain(priorityClassName);
    expect(topologySpreadConstraints).toHaveLength(1);
  });
});
