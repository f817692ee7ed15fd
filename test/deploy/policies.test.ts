import { expect, test } from '@jest/globals';
import { stageNames } from '../../services/pipeline/stages.ts';
import { type Manifest, podsOf, renderOverlay, whereRendered } from './rendered.ts';

const manifests = renderOverlay('production');
const policies = manifests.filter(({ kind }) => kind === 'NetworkPolicy');
const pods = podsOf(manifests);
const nameOf = ({ labels }: { labels: Labels }) => labels['app.kubernetes.io/name']!;

type Labels = Record<string, string>;

/** Whether the policies of the overlay let one pod of its namespace reach another one's port. */
function may(from: string, to: string, port: number): boolean {
  const [caller, callee] = [from, to].map((name) => pods.find((pod) => nameOf(pod) === name)!.labels as Labels);
  const applying = (labels: Labels, direction: string) =>
    policies.filter(({ spec }) => spec.policyTypes.includes(direction) && selects(spec.podSelector, labels));
  const leaves = applying(caller!, 'Egress').some(({ spec }) => permits(spec.egress, 'to', callee!, port));
  return leaves && applying(callee!, 'Ingress').some(({ spec }) => permits(spec.ingress, 'from', caller!, port));
}

function permits(rules: Manifest[] | undefined, side: 'from' | 'to', labels: Labels, port: number): boolean {
  return (rules ?? []).some(
    (rule) =>
      rule.ports.some((each: Manifest) => each.port === port) &&
      (rule[side] === undefined ||
        rule[side].some((peer: Manifest) => peer.podSelector && selects(peer.podSelector, labels))),
  );
}

function selects({ matchLabels = {}, matchExpressions = [] }: Manifest, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    (matchExpressions as Manifest[]).every(({ key, operator, values }) => {
      expect(['In', 'NotIn']).toContain(operator);
      return values.includes(labels[key]) === (operator === 'In');
    })
  );
}

const backends = stageNames.map((stage) => `${stage}-backend`);

whereRendered('who reaches whom', () => {
  const wanted: [string, string, number][] = [
    ...stageNames.map((stage): [string, string, number] => ['gateway', stage, 50051]),
    ...stageNames.map((stage): [string, string, number] => [stage, `${stage}-backend`, 8001]),
    ...['gateway', ...stageNames].map((service): [string, string, number] => [service, 'collector', 4317]),
    ...backends.map((backend): [string, string, number] => [backend, 'collector', 4318]),
    ['collector', 'jaeger', 4317],
    ['grafana', 'jaeger', 16686],
    ['grafana', 'prometheus', 9090],
    ...pods.flatMap((pod) =>
      pod.spec.containers
        .flatMap(({ ports }: Manifest) => ports)
        .filter(({ name }: Manifest) => name === 'metrics')
        .map(({ containerPort }: Manifest): [string, string, number] => ['prometheus', nameOf(pod), containerPort]),
    ),
  ];
  test('callers that have to', () => {
    expect(wanted.length).toBeGreaterThan(30);
    expect(wanted.filter((edge) => !may(...edge))).toEqual([]);
  });

  test('a database in the cluster is open to gateways and the backup', () => {
    const { spec } = policies.find(({ metadata }) => metadata.name === 'postgres')!;
    const callers = ['gateway', 'database-backup', ...stageNames];
    expect(callers.filter((name) => permits(spec.ingress, 'from', { 'app.kubernetes.io/name': name }, 5432))).toEqual([
      'gateway',
      'database-backup',
    ]);
  });

  test('and no others', () => {
    const ports = new Map(
      pods.map((pod) => [
        nameOf(pod),
        pod.spec.containers.flatMap((container: Manifest) =>
          container.ports.map(({ containerPort }: Manifest) => containerPort as number),
        ) as number[],
      ]),
    );
    const names = [...ports.keys()];
    const open = names.flatMap((from) =>
      names.flatMap((to) =>
        ports
          .get(to)!
          .filter((port) => from !== to && may(from, to, port))
          .map((port) => `${from} ${to}:${port}`),
      ),
    );
    const allowed = new Set([
      ...wanted.map(([from, to, port]) => `${from} ${to}:${port}`),
      // Traces may arrive by either protocol, and any stage may call any backend.
      ...['gateway', ...stageNames, ...backends].flatMap((from) => [
        `${from} collector:4317`,
        `${from} collector:4318`,
      ]),
      ...stageNames.flatMap((stage) => backends.map((backend) => `${stage} ${backend}:8001`)),
    ]);
    expect(open.filter((edge) => !allowed.has(edge))).toEqual([]);
  });
});
