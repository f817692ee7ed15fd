import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { anchors, readDocument } from './documents.ts';

test('every alert links to its runbook, and every runbook belongs to an alert', () => {
  const { groups } = parse(readDocument('deploy/observability/alerts.yaml')) as {
    groups: { rules: { alert: string; annotations: { runbook: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  for (const { alert, annotations } of rules) {
    expect(annotations.runbook).toBe(`deploy/observability/runbooks.md#${alert.toLowerCase()}`);
  }
  const [, , ...sections] = anchors(readDocument('deploy/observability/runbooks.md'));
  expect(sections.sort()).toEqual(rules.map(({ alert }) => alert.toLowerCase()).sort());
});
