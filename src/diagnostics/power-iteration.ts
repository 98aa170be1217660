/**
 * Norms of step Jacobians and of their products without the matrices: power iteration on J'J, with J v a tangent and
 * J'u an adjoint of the step, or of the layer from a step to its end.
 */
import type { Backend } from '../backend/backend.js';
import { HostProgram } from '../backend/host-program.js';
import { CounterRandom } from '../data/random.js';
import { layerStep } from '../model/recurrent.js';
import { adjoint } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Program, sizeOf, type Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';
import { everyRow, type LayerTrace } from './layer-trace.js';
import type { LayerSpectra } from './spectra.js';
import { parameterInputs, parameterNumbers, rowNumbers, stepOf, xShape } from './step-program.js';

export interface PowerIterationOptions {
  /** It stops when an iteration changes no norm by more than this, relative to it. 1e-4 unless given. */
  readonly tolerance?: number;
  /** Iterations at most. 100 unless given. */
  readonly iterations?: number;
}

/** Beginnings of products that are followed to the end side by side. */
const BEGINNINGS_AT_ONCE = 8;

/**
 * sigma_max of every step and every product, each from below; no sigma_min. In float32 what has decayed below about
 * 1e-19, whose square is no number any more, is 0, and what has grown beyond 1e19 is Infinity.
 * @throws KronogradError MEMORY
 */
export async function powerSpectra(
  backend: Backend,
  layer: LayerTrace,
  options: PowerIterationOptions = {},
): Promise<LayerSpectra> {
  return {
    steps: { largest: await stepNorms(backend, layer, options), smallest: null },
    products: { largest: await productNorms(backend, layer, options), smallest: null },
  };
}

async function stepNorms(
  backend: Backend,
  layer: LayerTrace,
  options: PowerIterationOptions,
): Promise<Float64Array> {
  const { steps, samples, parts, taken } = layer;
  const rows = steps * samples;
  const on = new Builder();
  const { before, next } = stepOf(on, layer, rows);
  const names = parts.map(({ name }) => name);
  const outputs = iteration(
    on,
    layer,
    names.map((name) => before[name]!),
    names.map((name) => next[name]!),
  );
  using program = await HostProgram.compile(backend, on.build(outputs));
  program.write({
    ...parameterNumbers(layer),
    ...rowNumbers(layer, everyRow(layer)),
    ...startVectors(layer, rows),
  });
  const norms = await iterate(program, options);
  // A step that is held is the identity.
  return norms.map((norm, i) => (taken[i] === 1 ? norm : 1));
}

async function productNorms(
  backend: Backend,
  layer: LayerTrace,
  options: PowerIterationOptions,
): Promise<Float64Array> {
  const { steps, samples, taken } = layer;
  const norms = new Float64Array(steps * samples);
  const starts = Math.min(BEGINNINGS_AT_ONCE, steps);
  const rows = starts * samples;
  using program = await HostProgram.compile(backend, productProgram(layer, rows));
  const size = sizeOf(xShape(layer));
  const x = new Float64Array(steps * rows * size);
  for (let step = 0; step < steps; step++)
    for (let row = 0; row < rows; row++) {
      const from = (step * samples + (row % samples)) * size;
      x.set(layer.x.data.subarray(from, from + size), (step * rows + row) * size);
    }
  program.write({ ...parameterNumbers(layer), x });
  for (let last = steps - 1; last >= 0; last -= starts) {
    // The first steps may be begun at twice, by the last run, for want of others.
    const beginnings = Array.from({ length: rows }, (_, row) => ({
      step: Math.max(0, last - Math.floor(row / samples)),
      sample: row % samples,
    }));
    const keep = Float64Array.from({ length: steps * rows }, (_, i) => {
      const [step, { step: begin, sample }] = [Math.floor(i / rows), beginnings[i % rows]!];
      return step >= begin ? taken[step * samples + sample]! : 0;
    });
    const { x: _, ...states } = rowNumbers(layer, beginnings);
    program.write({ ...states, keep, ...startVectors(layer, rows) });
    const found = await iterate(program, options);
    beginnings.forEach(({ step, sample }, row) => {
      norms[step * samples + sample] = found[row]!;
    });
  }
  return norms;
}

/** From the state that a row begins with to its end, the state held where `keep` [T, rows] is 0. */
function productProgram(layer: LayerTrace, rows: number): Program {
  const { cell, parts, steps, x, zoneout } = layer;
  const on = new Builder();
  const parameters = parameterInputs(on, layer);
  const names = parts.map(({ name }) => name);
  const initial = parts.map(({ name, features }) => on.input(`state.${name}`, float(rows, features)));
  const seen = on.input('x', { dtype: x.type.dtype, shape: [steps, rows, ...xShape(layer)] });
  const { finals } = on.scan(
    {
      length: steps,
      constants: Object.values(parameters),
      initial,
      xs: [seen, on.input('keep', float(steps, rows))],
    },
    (body, { constants, carries, xs }) => {
      const named = (keys: readonly string[], values: readonly Value[]) =>
        Object.fromEntries(keys.map((key, i) => [key, values[i]!]));
      const state = named(names, carries);
      const next = layerStep(body, cell, {
        ...{ x: xs[0]!, state, parameters: named(Object.keys(parameters), constants), zoneout },
      });
      const keep = body.reshape(xs[1]!, [rows, 1]);
      return { carries: names.map((name) => body.call('select', keep, next[name]!, state[name]!)) };
    },
  );
  return on.build(iteration(on, layer, initial, finals));
}

/** One iteration for each row: sigma = |J v| / |v| and v <- J'u / |J'u| with u = J v / sigma. */
function iteration(
  on: Builder,
  { parts }: LayerTrace,
  from: readonly Value[],
  to: readonly Value[],
): Parameters<Builder['build']>[0] {
  const inputs = from.map(({ type }, i) => on.input(`v.${parts[i]!.name}`, type));
  const v = unit(on, inputs).vector;
  const moved = unit(on, tangent(on, to, new Map(from.map((value, i) => [value, v[i]!]))));
  const seeds = to.map((value, i) => ({ value, adjoint: moved.vector[i]! }));
  const back = unit(on, adjoint(on, seeds, from));
  return {
    sigma: moved.norm,
    ...Object.fromEntries(
      parts.map(({ name }, i) => [`v.${name}`, { value: back.vector[i]!, updates: `v.${name}` }]),
    ),
  };
}

/** Each row of a vector in parts by its norm [rows, 1]; a row of zeros stays one. */
function unit(on: Builder, vector: readonly Value[]): { norm: Value; vector: Value[] } {
  const rows = vector[0]!.type.shape[0]!;
  const squares = vector.map((part) => on.sum(on.mul(part, part), [1])).reduce((a, b) => on.add(a, b));
  const norm = on.reshape(on.call('sqrt', squares), [rows, 1]);
  const divisor = on.call('select', norm, norm, on.constant(1));
  return { norm, vector: vector.map((part) => on.call('div', part, divisor)) };
}

async function iterate(
  program: HostProgram,
  { tolerance = 1e-4, iterations = 100 }: PowerIterationOptions,
): Promise<Float64Array> {
  let before = new Float64Array(0);
  for (let i = 0; ; i++) {
    program.run();
    const { sigma } = await program.read('sigma');
    // What has left the finite stays there: no vector that is left could bring it back.
    const now = Float64Array.from(sigma!, (norm, row) =>
      Number.isFinite(norm) && before[row] !== Number.POSITIVE_INFINITY ? norm : Number.POSITIVE_INFINITY,
    );
    const isNear = (norm: number, row: number) =>
      norm === before[row] || Math.abs(norm - before[row]!) <= tolerance * norm;
    const isSettled = i > 0 && now.every(isNear);
    if (isSettled || i + 1 >= iterations) return now;
    before = now;
  }
}

/** The same for every program: any vector that is not orthogonal to the one wanted. */
function startVectors({ parts }: LayerTrace, rows: number): Record<string, Float64Array> {
  const random = new CounterRandom(1);
  return Object.fromEntries(
    parts.map(({ name, features }) => [
      `v.${name}`,
      Float64Array.from({ length: rows * features }, () => random.normal()),
    ]),
  );
}
