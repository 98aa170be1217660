/** Generates shaders/gemm.wgsl. */
import source from '../shaders/gemm.wgsl';
import { isQuadAligned } from './affine.js';
import type { Bindings } from './bindings.js';
import type { Body } from './body.js';
import { type GemmTile, isDirect, vectorOf } from './gemm_tile.js';
import {
  type Block,
  bestReading,
  epilogueFunction,
  indent,
  operandFunction,
  type Panel,
  panelsOf,
  quadsRead,
  type Reading,
  range,
} from './panels.js';
import type { GemmStage, GemmTerm, Ref } from './stage.js';
import { fillTemplate } from './template.js';

const components = ['x', 'y', 'z', 'w'] as const;
const vectorType = (n: number) => (n === 1 ? 'f32' : `vec${n}<f32>`);
const component = (name: string, vector: number, c: number) =>
  vector === 1 ? name : `${name}.${components[c]}`;
const blockOf = ({ threadsX, threadsY, rowsEach, columnsEach, depth }: GemmTile): Block => ({
  ...{ rows: threadsY * rowsEach, columns: threadsX * columnsEach, depth },
});

/** Copies a panel's block into workgroup memory as [k][vector of lines]. */
function copyStatements(panel: Panel, reading: Reading): string[] {
  const { side, term, ref, depthAxis, vector, offsets } = panel;
  const isA = side === 'a';
  const [VECTOR, TILE, PITCH] = isA
    ? ['ROW_VECTOR', 'TILE_ROWS', 'PITCH_A']
    : ['COLUMN_VECTOR', 'TILE_COLUMNS', 'PITCH_B'];
  const alongDepth = Math.abs(ref.strides[depthAxis]!) === 1;
  const deep = reading === 'quads along k' ? 4 : 1;
  const steps = deep === 1 ? 'TILE_DEPTH' : `(TILE_DEPTH / ${deep})`;
  const vectors = `(${TILE} / ${VECTOR})`;
  const place = alongDepth
    ? [`let k = n % ${steps}${deep === 1 ? '' : ` * ${deep}`};`, `let v = n / ${steps};`]
    : [`let v = n % ${vectors};`, `let k = n / ${vectors};`];
  const origin = isA ? 'tile_row' : 'tile_column';
  const copies = offsets.flatMap((offset, slot) => {
    const load = (c: number) => {
      const line = c === 0 ? 'line' : `line + ${c}`;
      const place = isA ? `b, ${line}, depth + k` : `b, depth + k, ${line}`;
      return `load_${side}${term}(${place}${offsets.length > 1 ? `, ${offset}` : ''})`;
    };
    const block = slot === 0 ? '' : `${slot} * TILE_DEPTH * ${PITCH} + `;
    const put = (k: string, value: string) => `tile_${side}[${block}${k} * ${PITCH} + v] = ${value};`;
    const gather = (parts: readonly string[]) =>
      vector === 1 ? parts[0]! : `${vectorType(vector)}(${parts.join(', ')})`;
    switch (reading) {
      case 'scalars':
        return [put('k', gather(range(vector).map(load)))];
      case 'quads across lines':
        return [put('k', load(0))];
      case 'quads along k': {
        const quad = (c: number) => `quad${slot}_${c}`;
        return [
          ...range(vector).map((c) => `let ${quad(c)} = ${load(c)};`),
          ...components.map((part, k) =>
            put(k === 0 ? 'k' : `(k + ${k})`, gather(range(vector).map((c) => `${quad(c)}.${part}`))),
          ),
        ];
      }
    }
  });
  return [
    `for (var n = thread; n < ${steps} * ${vectors}; n += THREADS) {`,
    ...indent([...place, `let line = ${origin} + v * ${VECTOR};`, ...copies]),
    '}',
  ];
}

/** The name of a vector of sums. */
const sumName = (slot: number, row: number, group: number) => `sum${slot}_${row}_${group}`;

/** What an invocation multiplies at one k, from workgroup memory. */
function tileReads(term: GemmTerm, tile: GemmTile): string[] {
  const rowGroups = tile.rowsEach / vectorOf(tile.rowsEach);
  const columnGroups = tile.columnsEach / vectorOf(tile.columnsEach);
  const offsets = [...new Set(term.slots.map(({ offset }) => offset))];
  const rows = rowGroups === 1 ? 'y' : `y * ${rowGroups}`;
  return [
    ...range(rowGroups).map((g) => `let a${g} = tile_a[k * PITCH_A + ${rows}${g === 0 ? '' : ` + ${g}`}];`),
    ...offsets.flatMap((_, part) =>
      range(columnGroups).map((g) => {
        const k = part === 0 ? 'k' : `(k + ${part} * TILE_DEPTH)`;
        return `let b${part}_${g} = tile_b[${k} * PITCH_B + x${g === 0 ? '' : ` + ${g} * THREADS_X`}];`;
      }),
    ),
  ];
}

/** sum += a * b for everything an invocation owns, at one k. */
function multiplyStatements(term: GemmTerm, tile: GemmTile): string[] {
  const rowVector = vectorOf(tile.rowsEach);
  const offsets = [...new Set(term.slots.map(({ offset }) => offset))];
  return term.slots.flatMap(({ slot, offset }) =>
    range(tile.rowsEach).flatMap((row) =>
      range(tile.columnsEach / vectorOf(tile.columnsEach)).map((g) => {
        const a = component(`a${Math.floor(row / rowVector)}`, rowVector, row % rowVector);
        return `${sumName(slot, row, g)} += ${a} * b${offsets.indexOf(offset)}_${g};`;
      }),
    ),
  );
}

/** A product whose blocks are copied into workgroup memory, one after the other along k. */
const stagedProduct = (
  term: GemmTerm,
  panels: readonly Panel[],
  readingOf: (panel: Panel) => Reading,
  tile: GemmTile,
): string[] => [
  `for (var depth = 0; depth < ${term.depth}; depth += TILE_DEPTH) {`,
  ...indent([
    ...panels.flatMap((panel) => copyStatements(panel, readingOf(panel))),
    'workgroupBarrier();',
    'for (var k = 0; k < TILE_DEPTH; k++) {',
    ...indent([...tileReads(term, tile), ...multiplyStatements(term, tile)]),
    '}',
    'workgroupBarrier();',
  ]),
  '}',
];

/**
 * A product whose operands are read where they are, from the start of each line on. Lines beyond the edges stand for the
 * last ones: their sums are not stored.
 */
function directProduct(
  term: GemmTerm,
  panels: readonly Panel[],
  readingOf: (panel: Panel) => Reading,
  tile: GemmTile,
  bindings: Bindings,
): string[] {
  const reads = panels.map((panel) => {
    const { side, ref, lines, vector, offsets } = panel;
    const isA = side === 'a';
    const each = isA ? tile.rowsEach : tile.columnsEach;
    const hasEdge = lines % (each * (isA ? tile.threadsY : tile.threadsX)) !== 0;
    const byQuads = readingOf(panel) !== 'scalars';
    const start = (line: number) => `${isA ? 'row' : 'column'}${line}`;
    const starts = range(each).flatMap((line) => {
      if (byQuads && line % 4 !== 0) return [];
      const group = Math.floor(line / vector);
      const place = isA
        ? `tile_row + y * ROWS_EACH + ${line}`
        : `tile_column + (x + ${group} * THREADS_X) * COLUMN_VECTOR + ${line % vector}`;
      const inside = hasEdge ? `min(${place}, ${lines - (byQuads ? 4 : 1)})` : `(${place})`;
      const axes = isA ? ['b', inside, '0'] : ['b', '0', inside];
      return [`let ${start(line)} = ${bindings.index(ref, axes)};`];
    });
    const vectors = offsets.flatMap((offset, part) =>
      range(each / vector).map((group) => {
        const parts = range(byQuads ? 1 : vector).map((c) => {
          const from = start(group * vector + c);
          return `load_${side}${panel.term}(${offset === 0 ? from : `${from} + ${offset}`}, k)`;
        });
        const value = byQuads || vector === 1 ? parts[0]! : `${vectorType(vector)}(${parts.join(', ')})`;
        return `let ${isA ? `a${group}` : `b${part}_${group}`} = ${value};`;
      }),
    );
    return { starts, vectors };
  });
  return [
    '{',
    ...indent([
      ...reads.flatMap(({ starts }) => starts),
      `for (var k = 0; k < ${term.depth}; k++) {`,
      ...indent([...reads.flatMap(({ vectors }) => vectors), ...multiplyStatements(term, tile)]),
      '}',
    ]),
    '}',
  ];
}

/** A function that loads an element, or a quad across lines, at some depth of the line that starts at an index. */
function lineFunction({ side, term, ref, depthAxis }: Panel, reading: Reading, bindings: Bindings): string[] {
  const line: Ref = { buffer: ref.buffer, offset: 0, strides: [1, ref.strides[depthAxis]!], time: null };
  const [type, load] =
    reading === 'scalars'
      ? ['f32', bindings.load(line, ['start', 'k'])]
      : ['vec4<f32>', bindings.loadQuad(line, ['start', 'k'])];
  return [`fn load_${side}${term}(start: i32, k: i32) -> ${type} {`, `  return ${load};`, '}'];
}

/** Calls the epilogue for everything an invocation owns; in a loop, for inlined it can be very long. */
function finishStatements(stage: GemmStage, tile: GemmTile): string[] {
  const { slots } = stage;
  const groups = tile.columnsEach / vectorOf(tile.columnsEach);
  const origin = ['let i = tile_row + y * ROWS_EACH;', 'let j = tile_column + x * COLUMN_VECTOR;'];
  if (tile.rowsEach * tile.columnsEach === 1)
    return [
      ...origin,
      `finish(b, i, j, ${range(slots)
        .map((slot) => sumName(slot, 0, 0))
        .join(', ')});`,
    ];
  const vectors = range(tile.rowsEach).flatMap((row) => range(groups).map((group) => ({ row, group })));
  const own = range(slots).map((slot) => {
    const sums = vectors.map(({ row, group }) => sumName(slot, row, group)).join(', ');
    return `var own${slot} = array(${sums});`;
  });
  const sums = range(slots).map((slot) => `own${slot}[v]${vectorOf(tile.columnsEach) === 1 ? '' : '[c]'}`);
  const column = groups === 1 ? 'j + c' : `j + v % ${groups} * THREADS_X * COLUMN_VECTOR + c`;
  return [
    ...origin,
    ...own,
    'for (var n = 0; n < ROWS_EACH * COLUMNS_EACH; n++) {',
    '  let v = n / COLUMN_VECTOR;',
    '  let c = n % COLUMN_VECTOR;',
    `  finish(b, i + v${groups === 1 ? '' : ` / ${groups}`}, ${column}, ${sums.join(', ')});`,
    '}',
  ];
}

export function gemmBody(stage: GemmStage, bindings: Bindings, tile: GemmTile): Body {
  const { batch, rows, columns, slots, terms } = stage;
  const block = blockOf(tile);
  const rowVector = vectorOf(tile.rowsEach);
  const columnVector = vectorOf(tile.columnsEach);
  const vectors = { a: rowVector, b: columnVector };
  const panels = terms.map((term, number) => panelsOf(stage, term, number, vectors));
  // Whether the single elements that are stored lie in quads of one invocation.
  const ownsQuads = (ref: Ref) => columnVector === 4 && isQuadAligned(ref, 2) && columns % 4 === 0;
  const readingOf = (panel: Panel) =>
    bindings.isQuads(panel.ref.buffer) ? bestReading(panel, block) : 'scalars';

  const operands = panels
    .flat()
    .flatMap((panel) =>
      isDirect(tile)
        ? lineFunction(panel, readingOf(panel), bindings)
        : operandFunction(panel, readingOf(panel), block, bindings),
    );
  const epilogue = epilogueFunction(stage, block, bindings);
  const blocks = Math.max(...panels.map(([, { offsets }]) => offsets.length));
  const product = isDirect(tile) ? directProduct : stagedProduct;
  const products = terms.flatMap((term, number) => product(term, panels[number]!, readingOf, tile, bindings));
  const sums = range(slots).flatMap((slot) =>
    range(tile.rowsEach).flatMap((row) =>
      range(tile.columnsEach / columnVector).map(
        (group) => `var ${sumName(slot, row, group)} = ${vectorType(columnVector)}();`,
      ),
    ),
  );

  const rowTiles = Math.ceil(rows / block.rows);
  const columnTiles = Math.ceil(columns / block.columns);
  return {
    threads: tile.threadsX * tile.threadsY,
    groups: rowTiles * batch * columnTiles,
    quads: {
      wanted: quadsRead(panels.flat(), block, bindings),
      together: false,
      owns: (buffer) => stage.stores.every(({ ref }) => ref.buffer !== buffer || ownsQuads(ref)),
    },
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants: [
          `const BATCH = ${batch};`,
          `const COLUMNS = ${columns};`,
          `const THREADS_X = ${tile.threadsX};`,
          `const THREADS_Y = ${tile.threadsY};`,
          `const ROWS_EACH = ${tile.rowsEach};`,
          `const COLUMNS_EACH = ${tile.columnsEach};`,
          `const ROW_VECTOR = ${rowVector};`,
          `const COLUMN_VECTOR = ${columnVector};`,
          `const TILE_DEPTH = ${tile.depth};`,
        ],
        tiles: isDirect(tile)
          ? []
          : [
              // One longer than the lines need, so that writes along k fall into different banks.
              `const PITCH_A = TILE_ROWS / ROW_VECTOR + 1;`,
              `const PITCH_B = TILE_COLUMNS / COLUMN_VECTOR + 1;`,
              `var<workgroup> tile_a: array<${vectorType(rowVector)}, TILE_DEPTH * PITCH_A>;`,
              `var<workgroup> tile_b: array<${vectorType(columnVector)}, ${blocks} * TILE_DEPTH * PITCH_B>;`,
            ],
        operands,
        epilogue,
        sums,
        terms: products,
        finish: finishStatements(stage, tile),
      }),
  };
}
