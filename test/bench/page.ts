import { exponentOf, type Figure, type Growth, goalText, type Measured, meetsGoal, rounded } from './figure.ts';

/** What bench/results.json holds. */
export interface Results {
  machine: { processor: string; cores: number; node: string; system: string };
  /** By the row's name. `load`: the machine's load average when the row began. */
  rows: Record<string, Measured & { at: string; load: number; rounds: number }>;
}

/** A page of plots that needs nothing else. */
export function pageOf({ machine, rows }: Results): string {
  const figures = Object.values(rows).flatMap(({ figures = [] }) => figures);
  const growths = Object.values(rows).flatMap(({ growths = [] }) => growths);
  const loads = Object.values(rows).map(({ load }) => load);
  const title = 'FusionFrames: speed';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
  :root { color-scheme: light dark; --bar: #3b6ea8; --missed: #b3541e; --grid: #8886; }
  table { border-collapse: collapse; width: 100%; }
  td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--grid); vertical-align: top; }
  td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
  small { opacity: .7; display: block; }
  figure { display: inline-block; width: 21rem; margin: 1rem 1rem 0 0; vertical-align: top; }
  svg { width: 20rem; height: 14rem; overflow: visible; }
  svg text { font-size: 11px; fill: currentColor; }
  meter-bar { display: block; width: 9rem; height: .8rem; position: relative; background: var(--grid); }
  meter-bar i { position: absolute; inset: 0 auto 0 0; background: var(--bar); }
  meter-bar.missed i { background: var(--missed); }
  meter-bar b { position: absolute; left: 50%; top: -.2rem; bottom: -.2rem; border-left: 2px solid currentColor; }
</style>
<h1>${title}</h1>
<p>${text(machine.processor)}, ${machine.cores} cores, ${text(machine.system)}, Node ${text(machine.node)}; load average at the
start of the rows ${Math.min(...loads)} to ${Math.max(...loads)}. Ratios compare what ran in turn; other figures depend on the machine
and on what else ran. In the bars, the line is the goal, and orange means that it was missed.</p>
<table>
<tr><th>what<th class="number">measured<th class="number">goal<th>
${figures.map(tableRow).join('\n')}
</table>
<h2>Growth</h2>
${growths.map(plot).join('\n')}
</html>
`;
}

function tableRow(figure: Figure): string {
  const { what, value, unit = '', parts = {}, note } = figure;
  const details = [
    ...Object.entries(parts).map(([name, part]) => `${name} ${rounded(part)}`),
    ...(note === undefined ? [] : [note]),
  ];
  return (
    `<tr><td>${text(what)}${details.length > 0 ? `<small>${text(details.join('; '))}</small>` : ''}` +
    `<td class="number">${rounded(value)} ${text(unit)}<td class="number">${goalText(figure)}<td>${bar(figure)}`
  );
}

/** The value on a scale whose middle is the goal. */
function bar(figure: Figure): string {
  const { value, goal } = figure;
  if (goal === undefined) {
    return '';
  }
  const share = value / (2 * ('most' in goal ? goal.most : goal.least));
  const width = Math.min(100, 100 * share).toFixed(1);
  const isMissed = meetsGoal(figure) === false;
  return `<meter-bar${isMissed ? ' class="missed"' : ''}><i style="width: ${width}%"></i><b></b></meter-bar>`;
}

/** Room around the plot, and its size, in pixels. */
const [left, bottom, width, height] = [44, 30, 260, 180];

/** Cost against size, both on logarithmic scales. */
function plot(growth: Growth): string {
  const { what, grows, costs, points } = growth;
  const x = scale(
    points.map(({ size }) => size),
    left,
    left + width,
  );
  const y = scale(
    points.map(({ cost }) => cost),
    height,
    10,
  );
  const marks = points.map(({ size, cost }) => {
    const [across, up] = [x(size), y(cost)];
    return (
      `<circle cx="${across}" cy="${up}" r="4" fill="var(--bar)"/>` +
      `<text x="${across}" y="${up - 8}" text-anchor="middle">${rounded(cost)}</text>` +
      `<text x="${across}" y="${height + 18}" text-anchor="middle">${size}</text>`
    );
  });
  const line = points.map(({ size, cost }) => `${x(size)},${y(cost)}`).join(' ');
  const memory = memoryOf(growth, x);
  return `<figure>
<svg viewBox="0 0 ${left + width + 20} ${height + bottom + 10}" role="img" aria-label="${text(what)}">
<path d="M${left},10 V${height} H${left + width}" fill="none" stroke="var(--grid)"/>
<polyline points="${line}" fill="none" stroke="var(--bar)" stroke-width="2"/>
${memory.line}
${marks.join('\n')}
</svg>
<figcaption><strong>${text(what)}</strong>: ${text(costs)} over ${text(grows)}, exponent ${exponentOf(growth).toFixed(2)}${memory.text}</figcaption>
</figure>`;
}

/** Memory on a scale of its own, if it was measured. */
function memoryOf({ points }: Growth, x: (size: number) => number): { line: string; text: string } {
  const measured = points.flatMap(({ size, mebibytes }) => (mebibytes === undefined ? [] : [{ size, mebibytes }]));
  const values = measured.map(({ mebibytes }) => mebibytes);
  if (values.length === 0) {
    return { line: '', text: '' };
  }
  const y = scale(values, height, 10);
  const line = measured.map(({ size, mebibytes }) => `${x(size)},${y(mebibytes)}`).join(' ');
  return {
    line: `<polyline points="${line}" fill="none" stroke="var(--missed)" stroke-dasharray="4 3"/>`,
    text: `; dashed: memory, ${values.map((value) => Math.round(value)).join(', ')} MiB`,
  };
}

/** Maps a logarithm to pixels; values that hardly differ stay close to the middle. */
function scale(values: readonly number[], from: number, to: number): (value: number) => number {
  const logs = values.map(Math.log);
  const middle = (Math.min(...logs) + Math.max(...logs)) / 2;
  const half = Math.max(Math.log(4) / 2, (Math.max(...logs) - Math.min(...logs)) / 2);
  return (value) => Number((from + ((Math.log(value) - middle + half) / (2 * half)) * (to - from)).toFixed(1));
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
