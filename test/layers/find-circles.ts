/** From one node to another. */
type Edge = readonly [from: string, to: string];

/** Circles of a directed graph, each as its nodes from one back to the same; none shares a node with another. */
export function findCircles(edges: readonly Edge[]): string[][] {
  const circles: string[][] = [];
  let rest = withoutEnds(edges);
  while (rest.length > 0) {
    const circle = firstCircle(rest);
    circles.push(circle);
    rest = withoutEnds(rest.filter(([from, to]) => !circle.includes(from) && !circle.includes(to)));
  }
  return circles;
}

/** Without the nodes from which no edge leads on: every walk along the rest returns to where it was. */
function withoutEnds(edges: readonly Edge[]): readonly Edge[] {
  const origins = new Set(edges.map(([from]) => from));
  const inner = edges.filter(([, to]) => origins.has(to));
  return inner.length === edges.length ? inner : withoutEnds(inner);
}

function firstCircle(edges: readonly Edge[]): string[] {
  const next = new Map(edges);
  const walk: string[] = [];
  let node = edges[0]![0];
  while (!walk.includes(node)) {
    walk.push(node);
    node = next.get(node)!;
  }
  return [...walk.slice(walk.indexOf(node)), node];
}
