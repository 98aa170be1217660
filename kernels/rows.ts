/** Generates shaders/rows.wgsl. */
import source from '../shaders/rows.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import type { Bindings } from './bindings.js';
import type { Body, Share } from './body.js';
import type { KernelLimits } from './kernel.js';
import { overLanes } from './lanes.js';
import { type Phase, phasesOf } from './phases.js';
import { indicesOf, mapIndices, scalarStatements } from './scalars.js';
import { splitRows } from './softmax.js';
import type { Affine, RowsStage, Scalar } from './stage.js';
import { fillTemplate } from './template.js';

/** Numbers that a lane keeps from phase to phase, in registers; where it were more, they are computed again. */
const MOST_KEPT = 32;

export function rowsBody(stage: RowsStage, bindings: Bindings, limits: KernelLimits, share?: Share): Body {
  const last = stage.shape.length - 1;
  const outer = <T extends Affine>(index: T): T => ({ ...index, strides: index.strides.slice(0, last) });
  const indices = [...indicesOf(stage.scalars), ...stage.stores.map(({ ref }) => ref)];
  const domain = collapseAxes(stage.shape.slice(0, last), indices.map(outer), share?.tile?.axis);
  const narrow = <T extends Affine>(index: T): T => ({
    ...index,
    strides: [...domain.narrow(outer(index)).strides, index.strides[last]!],
  });
  const scalars = mapIndices(stage.scalars, narrow);
  const stores = stage.stores.map(({ ref, value }) => ({ ref: narrow(ref), value }));
  const rows = product(domain.shape);
  const columns = stage.shape[last]!;
  // As many invocations as can run at once; each more sum to take part in costs less than a wait for fewer.
  const columnsEach = rows * columns <= limits.parallelInvocations ? 1 : 4;
  const { lanes, threads, groups, constants } = splitRows(rows, columns, limits, share, {
    columnsEach,
    rowsOfBatch: share?.tile ? stage.shape[share.tile.axis]! : rows,
  });

  const [places, axes] = unravel('i', domain.shape, 'i');
  const evaluate = (wanted: readonly number[], column: string, { reads }: Pick<Phase, 'reads'>) => {
    // What earlier phases found is at hand by its name.
    const names = scalars.map((s, n) => (s.kind === 'rowSum' ? `sum${n}` : `kept${n}[k]`));
    const inPhase = scalars.map(
      (s, n): Scalar => (s.kind === 'rowSum' || reads.has(n) ? { kind: 'accumulator', slot: n } : s),
    );
    return scalarStatements(inPhase, wanted, [...axes, column], bindings, { sums: names });
  };
  const store = (wanted: typeof stores, column: string) =>
    wanted.map(({ ref, value }) => bindings.store(ref, [...axes, column], `s${value}`));
  const isOncePerRow = ({ ref }: (typeof stores)[number]) => ref.strides.at(-1) === 0;
  const [perRow, perElement] = [stores.filter(isOncePerRow), stores.filter((s) => !isOncePerRow(s))];

  const remembering = phasesOf(stage, true);
  const kept = Math.ceil(columns / lanes) * remembering.reduce((n, { keeps }) => n + keeps.length, 0);
  const phases = kept <= MOST_KEPT ? remembering : phasesOf(stage, false);
  const body = phases.flatMap((phase, n): string[] => {
    const sums = phase.sums.map((sum) => ({ sum, of: (scalars[sum] as Scalar & { kind: 'rowSum' }).value }));
    const stored = n === phases.length - 1 ? perElement : [];
    const wanted = [...phase.keeps, ...sums.map(({ of }) => of), ...stored.map(({ value }) => value)];
    if (wanted.length === 0) return [];
    return [
      ...sums.map(({ sum }) => `var own${sum} = 0f;`),
      'for (var k = 0; k < COLUMNS_EACH; k += 1) {',
      '  let j = lane + LANES * k;',
      '  if (j >= columns) { break; }',
      ...[
        ...evaluate(wanted, 'j', phase),
        ...phase.keeps.map((kept) => `kept${kept}[k] = s${kept};`),
        ...sums.map(({ sum, of }) => `own${sum} += s${of};`),
        ...store(stored, 'j'),
      ].map((line) => `  ${line}`),
      '}',
      ...sums.flatMap(({ sum }, k) => [
        ...(n + k === 0 ? [] : ['workgroupBarrier();']),
        `let sum${sum} = row_sum(own${sum}, thread);`,
      ]),
    ];
  });
  const once = [
    ...evaluate(
      perRow.map(({ value }) => value),
      '0',
      { reads: new Set() },
    ),
    ...store(perRow, '0'),
  ];
  const { text, extensions } = overLanes({ threads, lanes }, limits, { sum: 'f32' });
  return {
    threads,
    groups,
    extensions,
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants,
        lanes: text,
        phases: [
          ...places,
          ...phases.flatMap(({ keeps }) => keeps.map((kept) => `var kept${kept}: array<f32, COLUMNS_EACH>;`)),
          ...body,
          ...(once.length === 0
            ? []
            : ['if (lane == 0 && i < ROWS) {', ...once.map((line) => `  ${line}`), '}']),
        ],
      }),
  };
}
