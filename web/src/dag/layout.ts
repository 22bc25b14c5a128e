/** Where the stages of one run and checkpoint lie in their graph. Knows nothing of how they are drawn. */
import { Graph, layout } from '@dagrejs/dagre';
import type { StageKind, StageView } from '../api/types';

/** The stages that must be done first, as the daemon has it (`StageKind::parents`). */
const PARENTS: Record<StageKind, readonly StageKind[]> = {
  prepare: [],
  train: ['prepare'],
  evaluate: ['train'],
  means: ['train'],
  vars: ['means'],
  decs: ['means'],
  analyze: ['evaluate', 'means', 'vars', 'decs'],
};

export interface PlacedStage {
  stage: StageView;
  /** Left upper corner. */
  x: number;
  y: number;
}

export interface PlacedEdge {
  from: StageView;
  to: StageView;
  points: { x: number; y: number }[];
}

export interface StageLayout {
  stages: PlacedStage[];
  edges: PlacedEdge[];
  width: number;
  height: number;
}

/** Lays out stages of different kinds, from left to right or from top to bottom. */
export function layoutStages(
  stages: readonly StageView[],
  size: { width: number; height: number },
  direction: 'LR' | 'TB',
): StageLayout {
  const graph = new Graph();
  const across = direction === 'LR';
  graph.setGraph({
    rankdir: direction,
    ranksep: across ? 44 : 26,
    nodesep: across ? 14 : 10,
    marginx: 3,
    marginy: 3,
  });
  graph.setDefaultEdgeLabel(() => ({}));
  const byKind = new Map(stages.map((stage) => [stage.kind, stage]));
  for (const stage of stages) graph.setNode(stage.kind, { ...size });
  for (const { kind } of stages) {
    for (const parent of PARENTS[kind]) {
      // What `vars` needs, `analyze` needs through it: the line says nothing new.
      if (kind === 'analyze' && parent === 'means' && byKind.has('vars')) continue;
      if (byKind.has(parent)) graph.setEdge(parent, kind);
    }
  }
  layout(graph);
  const total = graph.graph() as { width?: number; height?: number };
  return {
    stages: stages.map((stage) => {
      const { x, y } = graph.node(stage.kind) as { x: number; y: number };
      return { stage, x: x - size.width / 2, y: y - size.height / 2 };
    }),
    edges: graph.edges().flatMap(({ v, w }) => {
      const [from, to] = [byKind.get(v as StageKind), byKind.get(w as StageKind)];
      const { points } = graph.edge(v, w) as { points: { x: number; y: number }[] };
      return from && to ? [{ from, to, points }] : [];
    }),
    width: Math.ceil(total.width ?? 0),
    height: Math.ceil(total.height ?? 0),
  };
}

/** A smooth line through points. */
export function pathThrough(points: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return '';
  // Each point between the ends bends the line; it goes through the middles between them.
  const middle = (a: { x: number; y: number }, b: { x: number; y: number }) =>
    `${(a.x + b.x) / 2},${(a.y + b.y) / 2}`;
  const bends = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1] ?? last;
    const end = next === last ? `${last.x},${last.y}` : middle(point, next);
    return `Q${point.x},${point.y} ${end}`;
  });
  return `M${first.x},${first.y}${bends.join('')}${bends.length === 0 ? `L${last.x},${last.y}` : ''}`;
}
