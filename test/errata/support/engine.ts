/** The truth: derivatives that the engine makes of the papers' systems, run in float64 by the interpreter. */
import { type Data, interpret } from '../../../src/backend/cpu/interpret.js';
import { type Cell, runStep } from '../../../src/cells/cell.js';
import { gaussNewtonVector, hessianVector } from '../../../src/curvature/products.js';
import type { JsonRecord } from '../../../src/interop/json.js';
import { adjoint, gradient } from '../../../src/program/adjoint.js';
import { Builder } from '../../../src/program/builder.js';
import { float, sizeOf, type Value } from '../../../src/program/program.js';
import { tangent } from '../../../src/program/tangent.js';
import type { Network } from '../../../src/verify/system.js';
import { systems } from '../../../src/verify/systems.js';
import { flat, type Matrix, type Nested, type Stack, shapeOf, T, times } from './matrix.js';

/** A network of src/verify/systems.ts with its numbers. */
export interface Case<P extends Record<string, Nested> = Record<string, Nested>> {
  readonly system: string;
  readonly config: JsonRecord;
  readonly params: P;
  /** X, target, the weights w of the loss, initial states. */
  readonly data: Record<string, Nested>;
}

type Inputs = Record<string, Data>;

interface Built {
  readonly on: Builder;
  readonly inputs: Inputs;
  readonly params: Record<string, Value>;
  readonly data: Record<string, Value>;
  readonly network: Network;
}

const declare = (on: Builder, inputs: Inputs, tensors: Record<string, Nested>, prefix: string) =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      inputs[prefix + name] = Float64Array.from(flat(tensor));
      return [name, on.input(prefix + name, float(...shapeOf(tensor)))];
    }),
  );

function build({ system, config, params, data }: Case, observe: readonly string[] = []): Built {
  const on = new Builder();
  const inputs: Inputs = {};
  const values = { params: declare(on, inputs, params, ''), data: declare(on, inputs, data, 'data ') };
  const rest = { activations: Object.fromEntries(observe.map((name) => [name, null])) };
  const given = { name: 'errata', system, config, params: {}, data: {}, rest };
  return { on, inputs, ...values, network: systems[system]!.build(on, given, values) };
}

function nested(data: Data, shape: readonly number[]): Nested {
  if (shape.length <= 1) return [...data];
  const size = sizeOf(shape.slice(1));
  return times(shape[0]!, (i) => nested(data.subarray(i * size, (i + 1) * size), shape.slice(1)));
}

const run = (on: Builder, inputs: Inputs, outputs: Record<string, Value>): Record<string, Nested> => {
  const program = on.build(Object.fromEntries(Object.entries(outputs).map(([k, v]) => [`out ${k}`, v])));
  const out = interpret(program, inputs);
  return Object.fromEntries(
    Object.entries(outputs).map(([k, v]) => [k, nested(out[`out ${k}`]!, v.type.shape)]),
  );
};

/** The gradients of the loss by all parameters: BPTT as the engine derives it. */
export function gradients<P extends Record<string, Nested>>(given: Case<P>): P {
  const { on, inputs, params, network } = build(given);
  const names = Object.keys(params);
  const all = gradient(on, network.loss, Object.values(params));
  return run(on, inputs, Object.fromEntries(names.map((n, i) => [n, all[i]!]))) as P;
}

/** The gradients by X or initial states. */
export function dataGradients(given: Case, names: readonly string[]): Record<string, Nested> {
  const { on, inputs, data, network } = build(given);
  const all = gradient(
    on,
    network.loss,
    names.map((n) => data[n]!),
  );
  return run(on, inputs, Object.fromEntries(names.map((n, i) => [n, all[i]!])));
}

export const lossOf = (given: Case): number => {
  const { on, inputs, network } = build(given);
  const loss = on.reshape(network.loss, [1]);
  return (run(on, inputs, { loss }).loss as number[])[0]!;
};

/** Values of the forward pass by name: [T, r, features] for what is recurrent. */
export function observed<Name extends string>(given: Case, ...names: Name[]): Record<Name, Stack> {
  const { on, inputs, network } = build(given, names);
  const values = Object.fromEntries(names.map((name) => [name, network.activations[name]!]));
  return run(on, inputs, values) as Record<Name, Stack>;
}

/** A linear map as a matrix: `apply` gives, for an input of the shape of `by`, the product with it. */
function dense(on: Builder, inputs: Inputs, by: Value, apply: (direction: Value) => Value): Matrix {
  const product = apply(on.input('direction', by.type));
  const program = on.build({ product });
  const n = sizeOf(by.type.shape);
  const columns = times(n, (i) => {
    const direction = new Float64Array(n);
    direction[i] = 1;
    return [...interpret(program, { ...inputs, direction }).product!];
  });
  return T(columns);
}

/** A block of the Hessian, column by column: rows vec(row), columns vec(column), row-major. */
export function hessian(given: Case, row: string, column: string = row): Matrix {
  const { on, inputs, params, network } = build(given);
  const wrt = [...new Set([row, column])].map((name) => params[name]!);
  return dense(on, inputs, params[column]!, (direction) => {
    const vector = wrt.map((v) => (v === params[column] ? direction : on.full(v.type.shape, 0)));
    return hessianVector(on, network.loss, wrt, vector).product[0]!;
  });
}

/** The Gauss-Newton block of one parameter. */
export function gaussNewton(given: Case, name: string): Matrix {
  const { on, inputs, params, network } = build(given);
  return dense(
    on,
    inputs,
    params[name]!,
    (direction) => gaussNewtonVector(on, network.output, network.loss, [params[name]!], [direction])[0]!,
  );
}

/** The Jacobian of a function of the engine at x. */
export function jacobianAt(x: Nested, f: (on: Builder, x: Value) => Value): Matrix {
  const on = new Builder();
  const inputs: Inputs = {};
  const value = declare(on, inputs, { x }, '').x!;
  const y = f(on, value);
  return dense(on, inputs, value, (direction) => tangent(on, [y], new Map([[value, direction]]))[0]!);
}

/** A cell's steps written out one after the other, so that derivatives by values inside can be asked for. */
export interface Steps {
  readonly on: Builder;
  readonly params: Record<string, Value>;
  /** The initial state, then every quantity of each step. */
  readonly at: readonly Record<string, Value>[];
}

interface StepsGiven {
  readonly cell: Cell;
  /** [T, 1, n] */
  readonly x: Stack;
  /** Each [1, features]. */
  readonly state: Record<string, Matrix>;
  readonly params: Record<string, Nested>;
}

type Pick = (steps: Steps) => Value;

function unroll({ cell, x, state, params }: StepsGiven): Steps & { inputs: Inputs } {
  const on = new Builder();
  const inputs: Inputs = {};
  const parameters = declare(on, inputs, params, '');
  const at: Record<string, Value>[] = [declare(on, inputs, state, 'initial ')];
  const xs = declare(on, inputs, Object.fromEntries(x.map((row, t) => [`x${t}`, row])), '');
  for (let t = 0; t < x.length; t++) {
    const before = Object.fromEntries(Object.keys(state).map((name) => [name, at[t]![name]!]));
    at.push(runStep(cell, on, xs[`x${t}`]!, before, parameters));
  }
  return { on, inputs, params: parameters, at };
}

/** Values inside. */
export function valuesOf(given: StepsGiven, picks: Record<string, Pick>): Record<string, Nested> {
  const steps = unroll(given);
  const picked = Object.entries(picks).map(([name, pick]) => [name, pick(steps)] as const);
  return run(steps.on, steps.inputs, Object.fromEntries(picked));
}

/** The Jacobian of one value inside by another, all paths between them: the engine's tangent, column by column. */
export function jacobian(given: StepsGiven, of: Pick, by: Pick): Matrix {
  const steps = unroll(given);
  const [y, x] = [of(steps), by(steps)];
  return dense(
    steps.on,
    steps.inputs,
    x,
    (direction) => tangent(steps.on, [y], new Map([[x, direction]]))[0]!,
  );
}

/** The second derivative of a scalar by additive perturbations of two values inside: rows by `row`. */
export function curvature(given: StepsGiven, loss: Pick, row: Pick, column: Pick): Matrix {
  const steps = unroll(given);
  const { on } = steps;
  const [E, a, b] = [loss(steps), row(steps), column(steps)];
  const seed = { value: E, adjoint: on.full(E.type.shape, 1) };
  const [g] = adjoint(on, [seed], [a]);
  return dense(on, steps.inputs, b, (direction) => tangent(on, [g!], new Map([[b, direction]]))[0]!);
}
