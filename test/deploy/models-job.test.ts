import { readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { expect, test } from '@jest/globals';
import { packageRoot } from '../../services/kit/package-root.ts';
import { withTemporaryFolder } from '../../services/kit/testing/temporary-folder.ts';
import { stageNames } from '../../services/pipeline/stages.ts';
import { containersOf, type Manifest, podsOf, render, renderModels, renderOverlay, whereRendered } from './rendered.ts';

whereRendered.each([
  ['models', 'production'],
  ['models-1.1', 'kandinsky-video-1.1'],
] as const)('the job of %s that fills the volume of %s', (job, overlay) => {
  const manifests = renderModels(job);
  const [pod] = podsOf(manifests);
  const production = renderOverlay(overlay);

  test('it writes the repository that is served from it', () => {
    const [volume] = renderModels('models-volume');
    const claimed = ({ spec }: { spec: Manifest['spec'] }) =>
      spec.volumes.find(({ name }: Manifest) => name === 'models').persistentVolumeClaim.claimName;
    const served = podsOf(production).filter(({ owner }) => owner.metadata.name.endsWith('-backend'));
    expect([pod!, ...served].map(claimed)).toEqual(Array(1 + stageNames.length).fill(volume!.metadata.name));
    expect(volume!.spec.accessModes).toEqual(['ReadWriteMany']);
    const { data } = production.find(({ kind, data }) => kind === 'ConfigMap' && 'FUSIONFRAMES_PRESET' in data)!;
    const [pull, build] = pod!.spec.initContainers;
    expect(pull.args).toEqual(['models', 'pull', data.FUSIONFRAMES_PRESET, '--output', '/models/checkpoint']);
    expect(build.args).toEqual(
      expect.arrayContaining([data.FUSIONFRAMES_PRESET, '--checkpoint', '/models/checkpoint']),
    );
  });

  test('the claim belongs neither to the job nor to the overlay', () => {
    expect([...manifests, ...production].filter(({ kind }) => kind === 'PersistentVolumeClaim')).toEqual([]);
  });

  test("its engines are compiled by the serving Triton's own image", () => {
    const serving = podsOf(production).find(({ owner }) => owner.metadata.name === 'keyframes-backend')!;
    expect(pod!.spec.containers[0].image).toBe(serving.spec.containers[0].image);
  });

  test('it is unprivileged and writes only to its volumes', () => {
    expect(pod!.spec.securityContext.runAsNonRoot).toBe(true);
    for (const { securityContext } of containersOf(pod!.spec)) {
      expect(securityContext).toMatchObject({ readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } });
    }
  });
});

whereRendered('the example', () => {
  test('its job has its images, its GPUs and its volume', () => {
    const [example] = podsOf(renderModels('overlays/example/models'));
    const serving = podsOf(renderOverlay('example')).find(({ owner }) => owner.metadata.name === 'keyframes-backend')!;
    expect(example!.spec.nodeSelector).toEqual(serving.spec.nodeSelector);
    expect(containersOf(example!.spec).map(({ image }) => image)).toEqual([
      ...Array(2).fill(serving.spec.containers[1].image),
      serving.spec.containers[0].image,
    ]);
    const [pull] = example!.spec.initContainers;
    const { value: authorities } = pull.env.find(({ name }: Manifest) => name === 'NODE_EXTRA_CA_CERTS');
    expect(pull.env.map(({ name }: Manifest) => name)).toEqual(
      expect.arrayContaining(['HTTPS_PROXY', 'HF_TOKEN_FILE']),
    );
    expect(pull.volumeMounts.map(({ mountPath }: Manifest) => mountPath)).toContain(authorities.replace('/ca.crt', ''));
    const [volume] = renderModels('overlays/example/models-volume');
    expect(volume!.metadata.name).toBe('fusionframes-models');
    expect(volume!.spec).toMatchObject({ storageClassName: 'shared-files', accessModes: ['ReadWriteMany'] });
  });

  test('its job also renders without authorities of its own, and with pinned commits', () =>
    withTemporaryFolder(async (folder) => {
      const parts = join(packageRoot, 'deploy', 'kubernetes');
      const text = await readFile(join(parts, 'overlays', 'example', 'models', 'kustomization.yaml'), 'utf8');
      const adapted = text
        .replace(/^components:\n(?: .*\n)+/m, '')
        .replace(/^ {2}# (?=- target| {2})/gm, '  ')
        .replaceAll('../../..', relative(folder, parts));
      await writeFile(join(folder, 'kustomization.yaml'), adapted);
      const [pod] = podsOf(render(folder));
      const [pull] = pod!.spec.initContainers;
      expect(pull.env.map(({ name }: Manifest) => name)).toEqual(['HTTPS_PROXY', 'HF_TOKEN_FILE']);
      expect(pull.args.slice(-2)).toEqual([
        '--revision=ai-forever/KandinskyVideo=<commit>',
        '--revision=google/flan-ul2=<commit>',
      ]);
    }));
});
