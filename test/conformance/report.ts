import type { Replay, StepResult, Verdict } from './replay.ts';
import { waivers } from './waivers.ts';

const shownDifferences = 20;

/** The outcome as text: a line for each method, the first differences, what was waived and what could not be played. */
export function report({ results, skipped }: Replay, isVerbose: boolean): string {
  const lines: string[] = [];
  const methods = [...new Set(results.map(({ step }) => step.method))].sort();
  const width = Math.max(8, ...methods.map((method) => method.length));
  lines.push(`${'method'.padEnd(width)}  passed  failed  waived`);
  for (const method of methods) {
    lines.push(
      row(
        method.padEnd(width),
        results.filter(({ step }) => step.method === method),
      ),
    );
  }
  lines.push(row('all'.padEnd(width), results));

  const failed = results.filter(({ verdict }) => verdict === 'failed');
  const shown = isVerbose ? failed : failed.slice(0, shownDifferences);
  for (const result of shown) {
    lines.push(
      '',
      `${title(result)}`,
      ...result.differences.slice(0, isVerbose ? undefined : 5).map((text) => `  ${text}`),
    );
  }
  if (failed.length > shown.length) {
    lines.push('', `… and ${failed.length - shown.length} more (--verbose shows all)`);
  }
  const waived = results.filter(({ verdict }) => verdict === 'waived');
  if (waived.length > 0) {
    lines.push('', 'waived:');
    for (const result of waived) {
      const waiver = waivers.find((candidate) => candidate.matches(result.scenario, result.step));
      lines.push(`  ${title(result)}: ${waiver?.reason}`);
    }
  }
  for (const { scenario, reason } of skipped) {
    lines.push('', `skipped ${scenario}: ${reason}`);
  }
  return `${lines.join('\n')}\n`;
}

function row(label: string, results: readonly StepResult[]): string {
  const count = (verdict: Verdict) => String(results.filter((result) => result.verdict === verdict).length).padStart(6);
  return `${label}  ${count('passed')}  ${count('failed')}  ${count('waived')}`;
}

function title({ scenario, index, step }: StepResult): string {
  return `${scenario} #${index} ${step.method} "${step.name}"`;
}
