/** Generates shaders/gemm_matrix.wgsl. */
import source from '../shaders/gemm_matrix.wgsl';
import type { Bindings } from './bindings.js';
import type { Body } from './body.js';
import { type MatrixTile, matrixTilesByTime, sizesOf } from './gemm_matrix_tile.js';
import {
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
import type { GemmStage, GemmTerm } from './stage.js';
import { fillTemplate } from './template.js';

/** A panel's block in workgroup memory: `[line][k]` along k, else `[k][line]`; of B one for each of several offsets. */
interface Staged {
  readonly panel: Panel;
  readonly reading: Reading;
  readonly isAlongDepth: boolean;
  readonly lines: string;
  readonly pitch: string;
  /** Its elements, padding included. */
  readonly size: string;
}

function stagedOf(panel: Panel, reading: Reading): Staged {
  const { side, ref, depthAxis } = panel;
  const isAlongDepth = reading === 'quads along k' || Math.abs(ref.strides[depthAxis]!) === 1;
  const [lines, linePitch] =
    side === 'a' ? ['TILE_ROWS', 'ROW_PITCH'] : (['TILE_COLUMNS', 'COLUMN_PITCH'] as const);
  return isAlongDepth
    ? { panel, reading, isAlongDepth, lines, pitch: 'DEPTH_PITCH', size: `${lines} * DEPTH_PITCH` }
    : { panel, reading, isAlongDepth, lines, pitch: linePitch, size: `TILE_DEPTH * ${linePitch}` };
}

/** Copies a block into workgroup memory, along the axis in which it lies there. */
function copyStatements({ panel, reading, isAlongDepth, lines, pitch, size }: Staged): string[] {
  const { side, term, offsets } = panel;
  const vector = reading === 'scalars' ? 1 : 4;
  const [inner, outer] = isAlongDepth ? ['k', 'line'] : ['line', 'k'];
  const length = isAlongDepth ? 'TILE_DEPTH' : lines;
  const across = vector === 1 ? length : `(${length} / ${vector})`;
  const places = [
    `let ${inner} = n % ${across}${vector === 1 ? '' : ` * ${vector}`};`,
    `let ${outer} = n / ${across};`,
    `let place = ${outer} * ${pitch} + ${inner};`,
  ];
  const element = side === 'a' ? 'b, tile_row + line, depth + k' : 'b, depth + k, tile_column + line';
  const copies = offsets.flatMap((offset, block) => {
    const load = `load_${side}${term}(${element}${offsets.length > 1 ? `, ${offset}` : ''})`;
    const at = `place${block === 0 ? '' : ` + ${block} * ${size}`}`;
    if (vector === 1) return [`tile_${side}[${at}] = f16(${load});`];
    const quad = `quad${block}`;
    return [
      `let ${quad} = vec4<f16>(${load});`,
      ...range(4).map((c) => `tile_${side}[${at}${c === 0 ? '' : ` + ${c}`}] = ${quad}[${c}];`),
    ];
  });
  return [
    `for (var n = thread; n < TILE_DEPTH * ${lines}${vector === 1 ? '' : ` / ${vector}`}; n += THREADS) {`,
    ...indent([...places, ...copies]),
    '}',
  ];
}

/** A matrix out of a block, `number` matrices behind the subgroup's first one. */
function loadMatrix({ panel: { side }, isAlongDepth, pitch, size }: Staged, number: number, part: number) {
  const isA = side === 'a';
  const [type, origin, length] = isA
    ? ['Left', 'own_row', 'MATRIX_ROWS']
    : ['Right', 'own_column', 'MATRIX_COLUMNS'];
  const line = number === 0 ? origin : `(${origin} + ${number} * ${length})`;
  const place = isAlongDepth ? `${line} * ${pitch} + k` : `k * ${pitch} + ${line}`;
  const block = part === 0 ? '' : `${part} * ${size} + `;
  const order = isAlongDepth === isA ? 'row_major' : 'col_major';
  return `subgroupMatrixLoad<${type}, ${order}>(&tile_${side}, u32(${block}${place}), ${pitch})`;
}

const sumName = (slot: number, row: number, column: number) => `sum${slot}_${row}_${column}`;

/** sum += a * b for everything a subgroup owns, of one matrix's depth. */
function multiplyStatements(term: GemmTerm, [a, b]: readonly [Staged, Staged], tile: MatrixTile): string[] {
  const rows = range(tile.rowsEach);
  const columns = range(tile.columnsEach);
  const { offsets } = b.panel;
  return [
    ...rows.map((row) => `let a${row} = ${loadMatrix(a, row, 0)};`),
    ...offsets.flatMap((_, part) =>
      columns.map((column) => `let b${part}_${column} = ${loadMatrix(b, column, part)};`),
    ),
    ...term.slots.flatMap(({ slot, offset }) =>
      rows.flatMap((row) =>
        columns.map((column) => {
          const sum = sumName(slot, row, column);
          const operands = `a${row}, b${offsets.indexOf(offset)}_${column}`;
          return `${sum} = subgroupMatrixMultiplyAccumulate(${operands}, ${sum});`;
        }),
      ),
    ),
  ];
}

/** What of this a program needs that is to choose it. */
export interface MatrixKernels {
  readonly tilesByTime: typeof matrixTilesByTime;
  readonly bodyOf: typeof gemmMatrixBody;
}

export const matrixKernels: MatrixKernels = { tilesByTime: matrixTilesByTime, bodyOf: gemmMatrixBody };

/** @param stage all of whose operands are halves. */
function gemmMatrixBody(stage: GemmStage, bindings: Bindings, tile: MatrixTile): Body {
  const panels = stage.terms.map((term, number) => panelsOf(stage, term, number, { a: 4, b: 4 }));
  const { batch, columns, slots, terms } = stage;
  const { matrix, subgroup, subgroupsX, subgroupsY, rowsEach, columnsEach, depth } = tile;
  const sizes = { ...sizesOf(tile), depth };
  const blocks = panels.map((pair) =>
    pair.map((panel) =>
      stagedOf(panel, bindings.isQuads(panel.ref.buffer) ? bestReading(panel, sizes) : 'scalars'),
    ),
  ) as [Staged, Staged][];

  const operands = blocks
    .flat()
    .flatMap(({ panel, reading }) => operandFunction(panel, reading, sizes, bindings));
  const epilogue = epilogueFunction(stage, sizes, bindings);
  const products = terms.flatMap((term, number) => [
    `for (var depth = 0; depth < ${term.depth}; depth += TILE_DEPTH) {`,
    ...indent([
      ...blocks[number]!.flatMap(copyStatements),
      'workgroupBarrier();',
      'for (var k = 0; k < TILE_DEPTH; k += MATRIX_DEPTH) {',
      ...indent(multiplyStatements(term, blocks[number]!, tile)),
      '}',
      'workgroupBarrier();',
    ]),
    '}',
  ]);
  const parts = range(rowsEach * columnsEach).map((part) => ({
    part,
    sums: range(slots).map((slot) => sumName(slot, Math.floor(part / columnsEach), part % columnsEach)),
  }));
  const place = (slot: number) => (slot === 0 ? '' : `${slot} * SUBGROUPS * MATRIX_SIZE + `);
  const handOver = parts.flatMap(({ part, sums }) => [
    `case ${part}: {`,
    ...sums.map((sum, slot) => {
      const at = `u32(${place(slot)}subgroup * MATRIX_SIZE)`;
      return `  subgroupMatrixStore<row_major>(&results, ${at}, ${sum}, MATRIX_COLUMNS);`;
    }),
    '}',
  ]);
  const tileOf = (side: 0 | 1) => {
    const all = new Set(blocks.map((pair) => `${pair[side]!.panel.offsets.length} * ${pair[side]!.size}`));
    return [...all].reduce((most, size) => `max(${most}, ${size})`);
  };

  return {
    threads: subgroupsX * subgroupsY * subgroup,
    groups: Math.ceil(stage.rows / sizes.rows) * batch * Math.ceil(columns / sizes.columns),
    quads: {
      wanted: quadsRead(panels.flat(), sizes, bindings),
      together: false,
      owns: (buffer) => stage.stores.every(({ ref }) => ref.buffer !== buffer),
    },
    extensions: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        extensions: [],
        constants: [
          `const BATCH = ${batch};`,
          `const COLUMNS = ${columns};`,
          `const SLOTS = ${slots};`,
          `const MATRIX_ROWS = ${matrix.M};`,
          `const MATRIX_COLUMNS = ${matrix.N};`,
          `const MATRIX_DEPTH = ${matrix.K};`,
          `const SUBGROUP_SIZE = ${subgroup};`,
          `const SUBGROUPS_X = ${subgroupsX};`,
          `const SUBGROUPS_Y = ${subgroupsY};`,
          `const ROWS_EACH = ${rowsEach};`,
          `const COLUMNS_EACH = ${columnsEach};`,
          `const TILE_DEPTH = ${depth};`,
        ],
        tiles: [
          `var<workgroup> tile_a: array<f16, ${tileOf(0)}>;`,
          `var<workgroup> tile_b: array<f16, ${tileOf(1)}>;`,
        ],
        operands,
        epilogue,
        sums: parts.flatMap(({ sums }) => sums.map((sum) => `var ${sum} = Sums();`)),
        terms: products,
        hand_over: handOver,
        finish: [
          `finish(b, i, j, ${range(slots)
            .map((slot) => `results[${place(slot)}n]`)
            .join(', ')});`,
        ],
      }),
  };
}
