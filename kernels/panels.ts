/** What kernels of products have in common: their operands as panels, and the epilogue on the result. */
import { isQuadAligned } from './affine.js';
import type { Bindings } from './bindings.js';
import { scalarStatements } from './scalars.js';
import type { GemmStage, GemmTerm, Ref } from './stage.js';

/** One operand of a term seen as a panel: `lines` of rows of A or columns of B, each running along k. */
export interface Panel {
  readonly side: 'a' | 'b';
  readonly term: number;
  readonly ref: Ref;
  /** Axes of the reference's domain [batch, ., .]. */
  readonly lineAxis: 1 | 2;
  readonly depthAxis: 1 | 2;
  readonly lines: number;
  readonly depth: number;
  readonly vector: 1 | 2 | 4;
  /** Displacements of the slots that a panel of B serves; [0] for A. */
  readonly offsets: readonly number[];
}

/** How a panel comes from its buffer: element by element, or four at a time along k or across lines. */
export type Reading = 'scalars' | 'quads along k' | 'quads across lines';

/** What a workgroup computes at a time: rows and columns of the result, and how deep; 0 where nothing is copied. */
export interface Block {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
}

export const indent = (lines: readonly string[]) => lines.map((line) => `  ${line}`);
export const range = (n: number) => Array.from({ length: n }, (_, k) => k);

/** @param vectors elements of neighbouring lines that are kept as one vector, of A and of B. */
export function panelsOf(
  stage: GemmStage,
  term: GemmTerm,
  number: number,
  vectors: Readonly<Record<'a' | 'b', Panel['vector']>>,
): [Panel, Panel] {
  const { depth } = term;
  const offsets = [...new Set(term.slots.map(({ offset }) => offset))];
  return [
    {
      ...{ side: 'a', term: number, ref: term.a, lineAxis: 1, depthAxis: 2, depth, offsets: [0] },
      lines: stage.rows,
      vector: vectors.a,
    },
    {
      ...{ side: 'b', term: number, ref: term.b, lineAxis: 2, depthAxis: 1, depth, offsets },
      lines: stage.columns,
      vector: vectors.b,
    },
  ];
}

/** The reading that alignment allows; 'scalars' always works. */
export function bestReading(
  { ref, lineAxis, depthAxis, lines, depth, vector, offsets }: Panel,
  block: Block,
): Reading {
  if (offsets.some((offset) => offset % 4 !== 0)) return 'scalars';
  if (block.depth > 0 && isQuadAligned(ref, depthAxis) && depth % 4 === 0) return 'quads along k';
  if (isQuadAligned(ref, lineAxis) && lines % 4 === 0 && vector === 4) return 'quads across lines';
  return 'scalars';
}

/** The buffers from which panels are read by fours where they are bound so. */
export const quadsRead = (panels: readonly Panel[], block: Block, bindings: Bindings): ReadonlySet<number> =>
  new Set(
    panels
      .filter(
        (panel) => bestReading(panel, block) !== 'scalars' && bindings.dtype(panel.ref.buffer) !== 'int',
      )
      .map(({ ref }) => ref.buffer),
  );

/** Functions that load an element, or a quad, of a panel; zeros beyond its edges. */
export function operandFunction(panel: Panel, reading: Reading, block: Block, bindings: Bindings): string[] {
  const { side, term, ref, lines, depth, offsets } = panel;
  const isA = side === 'a';
  const line = isA ? 'i' : 'j';
  const axes = isA ? ['b', 'i', 'k'] : ['b', 'k', 'j'];
  const displacement = offsets.length > 1 ? 'offset' : offsets[0] === 0 ? undefined : String(offsets[0]);
  const parameters = [...axes, ...(offsets.length > 1 ? ['offset'] : [])]
    .map((name) => `${name}: i32`)
    .join(', ');
  const blockLines = isA ? block.rows : block.columns;
  const beyond = [
    ...(lines % blockLines === 0 ? [] : [`${line} >= ${lines}`]),
    ...(depth % block.depth === 0 ? [] : [`k >= ${depth}`]),
  ];
  const type = reading === 'scalars' ? 'f32' : 'vec4<f32>';
  const load =
    reading === 'scalars'
      ? bindings.load(ref, axes, displacement)
      : bindings.loadQuad(ref, axes, displacement);
  return [
    `fn load_${side}${term}(${parameters}) -> ${type} {`,
    ...(beyond.length === 0 ? [] : [`  if (${beyond.join(' || ')}) {`, `    return ${type}();`, '  }']),
    `  return ${load};`,
    '}',
  ];
}

/** The function `finish` of an element of the result and its sums; nothing beyond the edges. */
export function epilogueFunction(stage: GemmStage, block: Block, bindings: Bindings): string[] {
  const { rows, columns, slots, scalars, stores } = stage;
  const axes = ['b', 'i', 'j'];
  const sums = range(slots).map((slot) => `sum${slot}`);
  const beyond = [
    ...(rows % block.rows === 0 ? [] : [`i >= ${rows}`]),
    ...(columns % block.columns === 0 ? [] : [`j >= ${columns}`]),
  ];
  const values = stores.map(({ value }) => value);
  return [
    `fn finish(${[...axes.map((axis) => `${axis}: i32`), ...sums.map((sum) => `${sum}: f32`)].join(', ')}) {`,
    ...(beyond.length === 0 ? [] : [`  if (${beyond.join(' || ')}) {`, '    return;', '  }']),
    ...indent(scalarStatements(scalars, values, axes, bindings, { sums })),
    ...stores.map(({ ref, value }) => `  ${bindings.store(ref, axes, `s${value}`)}`),
    '}',
  ];
}
