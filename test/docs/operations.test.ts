import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readDocument } from './documents.ts';

test('every alert is listed, with its runbook', () => {
  const { groups } = parse(readDocument('deploy/observability/alerts.yaml')) as {
    groups: { rules: { alert: string; annotations: { runbook: string } }[] }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  for (const { alert, annotations } of rules) {
    expect(annotations.runbook).toBe(`deploy/observability/runbooks.md#${alert.toLowerCase()}`);
  }
  const listed = [...readDocument('docs/operations.md').matchAll(/^\| \[(\w+)\]\(\S+runbooks\.md#(\w+)\)/gm)];
  expect(listed.map(([, alert]) => alert).sort()).toEqual(rules.map(({ alert }) => alert).sort());
  expect(listed.filter(([, alert, anchor]) => alert!.toLowerCase() !== anchor)).toEqual([]);
});
