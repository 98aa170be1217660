/** Jacobians of single steps, ds[t] / ds[t-1] of the whole carried state, as dense matrices: tangents of the step. */
import type { Backend, Numbers } from '../backend/backend.js';
import { HostProgram } from '../backend/host-program.js';
import { Builder } from '../program/builder.js';
import type { Program, Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';
import { everyRow, type LayerTrace, type Row, type StatePart } from './layer-trace.js';
import { parameterNumbers, rowNumbers, stepOf } from './step-program.js';

export interface StepJacobian extends Row {
  /** [N, N], row-major; the parts of the state side by side. The identity where the mask holds the state. */
  readonly matrix: Float64Array;
  /** Of cells with a carousel: the derivative, in this step, of the output by the carousel's new state. Otherwise null. */
  readonly readout: Float64Array | null;
}

/** Elements of the tangents of one run: what bounds the rows of it. */
const TANGENT_ELEMENTS = 2 ** 22;

/** The Jacobian of every step of every sample, the last steps first. @throws KronogradError MEMORY */
export async function* stepJacobians(backend: Backend, layer: LayerTrace): AsyncGenerator<StepJacobian> {
  const { parts, stateSize: N, samples } = layer;
  const kept = keptPart(layer);
  const all = everyRow(layer).reverse();
  const atOnce = Math.max(1, Math.min(all.length, Math.floor(TANGENT_ELEMENTS / N ** 2)));
  using program = await HostProgram.compile(backend, jacobianProgram(layer, atOnce));
  program.write(parameterNumbers(layer));
  for (let first = 0; first < all.length; first += atOnce) {
    const rows = all.slice(first, first + atOnce);
    // A last run that is not full repeats a row.
    const full = [...rows, ...Array.from({ length: atOnce - rows.length }, () => rows[0]!)];
    program.write(rowNumbers(layer, full));
    program.run();
    const outputs = await program.read();
    for (const [place, row] of rows.entries()) {
      const isTaken = layer.taken[row.step * samples + row.sample] === 1;
      const from = { rows: atOnce, place };
      const { readout } = outputs;
      yield {
        ...row,
        matrix: isTaken ? matrixOf(parts, N, outputs, from) : identity(N),
        readout: readout === undefined ? null : columnsOf(readout, kept!.features, from),
      };
    }
  }
}

function jacobianProgram(layer: LayerTrace, rows: number): Program {
  const { cell, parts, stateSize } = layer;
  const on = new Builder();
  const { before, next } = stepOf(on, layer, rows);
  const along = new Map(parts.map((part) => [before[part.name]!, units(on, part, stateSize, rows)]));
  const columns = tangent(
    on,
    parts.map(({ name }) => next[name]!),
    along,
  );
  const outputs: Record<string, Value> = Object.fromEntries(
    parts.map(({ name }, i) => [`columns.${name}`, columns[i]!]),
  );
  const kept = keptPart(layer);
  if (kept !== undefined) {
    const own = units(on, { ...kept, offset: 0 }, kept.features, rows);
    outputs.readout = tangent(on, [next[cell.output]!], new Map([[next[kept.name]!, own]]))[0]!;
  }
  return on.build(outputs);
}

/** The part of the state that a carousel keeps, where the cell has one. */
export const keptPart = ({ cell, parts }: LayerTrace): StatePart | undefined =>
  parts.find(({ name }) => name === cell.carousel?.state);

/** For each of `count` directions and each row, the direction's elements of a part: [count, rows, features]. */
function units(on: Builder, { features, offset }: StatePart, count: number, rows: number): Value {
  const place = on.add(on.iota([1, 1, features], 2), on.constant(offset));
  return on.broadcast(on.call('equal', on.iota([count, 1, 1], 0), place), [count, rows, features]);
}

/** The matrix of one row, part below part. */
function matrixOf(
  parts: readonly StatePart[],
  N: number,
  outputs: Readonly<Record<string, Numbers>>,
  { rows, place }: { readonly rows: number; readonly place: number },
): Float64Array {
  const matrix = new Float64Array(N * N);
  for (const { name, offset } of parts)
    matrix.set(columnsOf(outputs[`columns.${name}`]!, N, { rows, place }), offset * N);
  return matrix;
}

/** From `count` columns [count, rows, features], those of one row as a matrix [features, count]. */
function columnsOf(
  columns: Numbers,
  count: number,
  { rows, place }: { readonly rows: number; readonly place: number },
): Float64Array {
  const features = columns.length / (count * rows);
  const matrix = new Float64Array(features * count);
  for (let j = 0; j < count; j++)
    for (let i = 0; i < features; i++) matrix[i * count + j] = columns[(j * rows + place) * features + i]!;
  return matrix;
}

function identity(N: number): Float64Array {
  const matrix = new Float64Array(N * N);
  for (let i = 0; i < N; i++) matrix[i * N + i] = 1;
  return matrix;
}
