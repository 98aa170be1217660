/** Runs the cases of a fixture on a backend and compares every quantity they hold. */
import type { Backend } from '../backend/backend.js';
import { Float64Backend } from '../backend/cpu/float64-backend.js';
import { gaussNewtonVector, hessianVector } from '../curvature/products.js';
import { KronogradError } from '../errors.js';
import { isRecord, type JsonRecord } from '../interop/json.js';
import { adjoint } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';
import { compareDiagnostics } from './diagnostics.js';
import type { FixtureCase, FixtureTensor, Tensors } from './fixture.js';
import { compareHessians } from './hessian.js';
import { type Comparison, preprocessed } from './preprocessing.js';
import { asTensors, declare, prefixed, relativeError, runOnce } from './run.js';
import type { System } from './system.js';
import { systems } from './systems.js';

export interface Check {
  /** For example `grads.weight_hh_l0`. */
  readonly quantity: string;
  /** max|ours - theirs| / max|theirs|. */
  readonly error: number;
  readonly tolerance: number;
  readonly passed: boolean;
}

export interface CaseReport {
  readonly name: string;
  readonly checks: readonly Check[];
  /** What the case holds and this version does not compute, and why. Never counted as passed. */
  readonly unsupported: readonly string[];
}

/** Keys of a case that are no quantities. */
const NOT_COMPARED = new Set(['param_order', 'float32_error', 'chunk', 'lr', 'untruncated']);

/** The tolerance of what is computed in float64. */
const EXACT = 1e-10;

export interface VerifyOptions {
  /** Whether to compare the Hessians as matrices, which takes most of the time. True unless given. */
  readonly hessians?: boolean;
}

/** Compares every quantity of a case. */
export async function verifyCase(
  backend: Backend,
  given: FixtureCase,
  { hessians = true }: VerifyOptions = {},
): Promise<CaseReport> {
  if (given.system === null) return verifyPreprocessing(given);
  const system = systems[given.system];
  if (system === undefined)
    return { name: given.name, checks: [], unsupported: [`system '${given.system}'`] };
  const reason = system.unsupported(given);
  if (reason !== null) return { name: given.name, checks: [], unsupported: [reason] };
  const { errors, unsupported } = await measure(backend, system, given);
  const exact = backend.name === 'cpu-float64';
  const rounding = exact ? null : (await measure(new Float64Backend(Math.fround), system, given)).errors;
  const checks = [...errors].map(([quantity, error]): Check => {
    const tolerance = rounding === null ? EXACT : float32Tolerance(given, quantity, rounding.get(quantity)!);
    return { quantity, error, tolerance, passed: error <= tolerance };
  });
  if (!hessians || given.rest.hessian === undefined) return { name: given.name, checks, unsupported };
  const matrices = await compareHessians(backend, system, given);
  const tolerance = hessianTolerance(backend, given);
  return {
    name: given.name,
    checks: [...checks, ...matrices.comparisons.map((comparison) => check(comparison, tolerance))],
    unsupported: [...unsupported, ...matrices.unsupported],
  };
}

function check({ quantity, ours, theirs }: Comparison, tolerance: number): Check {
  const error = relativeError(ours, theirs.data);
  return { quantity, error, tolerance, passed: error <= tolerance };
}

/** Of matrices and of their eigenvalues, relative to the largest: 1e-9, in float32 20 times the products' own error. */
function hessianTolerance({ name }: Backend, { rest: { float32_error } }: FixtureCase): number {
  if (name === 'cpu-float64') return 1e-9;
  return Math.max(1e-5, 20 * Number(isRecord(float32_error) ? float32_error.hessian_vector : 0));
}

/** A case of no network runs on the host, whatever the backend. */
function verifyPreprocessing(given: FixtureCase): CaseReport {
  const { name } = given;
  const found = preprocessed(given);
  if (found === null) return { name, checks: [], unsupported: ['a case of no network'] };
  const checks = found.comparisons.map((comparison) => check(comparison, EXACT));
  return { name, checks, unsupported: found.unsupported };
}

async function measure(backend: Backend, system: System, given: FixtureCase) {
  const errors = new Map<string, number>();
  const add: Add = (quantity, ours, theirs) => errors.set(quantity, relativeError(ours, theirs.data));
  if (given.rest.expected !== undefined) {
    const { comparisons, unsupported } = await compareDiagnostics(backend, system, given);
    for (const { quantity, ours, theirs } of comparisons) add(quantity, ours, theirs);
    return { errors, unsupported };
  }
  if (given.rest.accumulate === undefined)
    return { errors, unsupported: await verifyWhole(backend, system, given, add) };
  await verifyTruncated(backend, system, given, add);
  return { errors, unsupported: [] };
}

type Add = (quantity: string, ours: ArrayLike<number>, theirs: FixtureTensor) => void;

/**
 * 20 times the case's own `float32_error`, and no less than 5e-6, for products 1e-5. Where the case has no such
 * error for a quantity, 20 times what rounding every value to float32 does to it in the oracle.
 */
function float32Tolerance(given: FixtureCase, quantity: string, rounding: number): number {
  const [group] = quantity.split('.') as [string];
  const floor = group === 'hessian_vector' || group === 'gauss_newton_vector' ? 1e-5 : 5e-6;
  const measured = given.rest.float32_error;
  const own = isRecord(measured) ? measured[group] : undefined;
  return Math.max(floor, 20 * (typeof own === 'number' ? own : rounding));
}

/** A case run in one piece. Gives what it holds and is not computed. */
async function verifyWhole(
  backend: Backend,
  system: System,
  given: FixtureCase,
  add: Add,
): Promise<string[]> {
  const { rest } = given;
  const on = new Builder();
  const { params, data, network } = declare(on, system, given);
  const outputs: Record<string, Value> = {};
  const expected: Record<string, FixtureTensor> = {};
  if (rest.loss !== undefined) {
    outputs.loss = on.reshape(network.loss, [1]);
    expected.loss = { shape: [1], data: [Number(rest.loss)] };
  }
  const want = (group: string, values: Readonly<Record<string, Value>>, theirs: unknown) => {
    for (const [name, tensor] of Object.entries(asTensors(theirs, given, group))) {
      const value = values[name];
      if (value === undefined)
        throw new KronogradError('FIXTURE', `system '${given.system}' has no ${group} '${name}'`, {
          where: given.name,
        });
      outputs[`${group}.${name}`] = value;
      expected[`${group}.${name}`] = tensor;
    }
  };
  const names = Object.keys(params);
  const list = names.map((n) => params[n]!);
  const inputs: Record<string, FixtureTensor> = {
    ...prefixed('', given.params),
    ...prefixed('', given.data),
  };
  want('activations', masked(on, network.activations, data.mask), rest.activations ?? {});
  want('final_state', network.finalState, rest.final_state ?? {});
  const dataNames = Object.keys(asTensors(rest.data_grads ?? {}, given, 'data_grads'));
  const gradients = adjoint(
    on,
    [{ value: network.loss, adjoint: on.constant(1) }],
    [...list, ...dataNames.map((n) => data[n]!)],
  );
  want('grads', Object.fromEntries(names.map((n, i) => [n, gradients[i]!])), rest.grads ?? {});
  want(
    'data_grads',
    Object.fromEntries(dataNames.map((n, i) => [n, gradients[names.length + i]!])),
    rest.data_grads ?? {},
  );
  if (isRecord(rest.hvp)) {
    const { hvp } = rest;
    const vectors = asTensors(hvp.vector, given, 'hvp.vector');
    const v = names.map((n) => on.input(`vector.${n}`, float(...vectors[n]!.shape)));
    Object.assign(inputs, prefixed('vector.', vectors));
    const { product } = hessianVector(on, network.loss, list, v);
    want(
      'hessian_vector',
      Object.fromEntries(names.map((n, i) => [n, product[i]!])),
      hvp.hessian_vector ?? {},
    );
    const gn = gaussNewtonVector(on, network.output, network.loss, list, v);
    want(
      'gauss_newton_vector',
      Object.fromEntries(names.map((n, i) => [n, gn[i]!])),
      hvp.gauss_newton_vector ?? {},
    );
  }
  const results = Object.keys(outputs).length === 0 ? {} : await runOnce(backend, on, outputs, inputs);
  for (const [quantity, theirs] of Object.entries(expected)) add(quantity, results[quantity]!, theirs);
  const known = new Set(['loss', 'grads', 'data_grads', 'activations', 'final_state', 'hvp', 'hessian']);
  return Object.keys(rest).filter((key) => !known.has(key) && !NOT_COMPARED.has(key));
}

/** Truncated BPTT (math.md section 11): chunk after chunk, the state carried as a constant. */
async function verifyTruncated(
  backend: Backend,
  system: System,
  given: FixtureCase,
  add: Add,
): Promise<void> {
  const lr = Number(given.rest.lr);
  for (const mode of ['accumulate', 'sgd_each_chunk'] as const) {
    const part = given.rest[mode];
    if (!isRecord(part) || !Array.isArray(part.chunks)) continue;
    let params: Tensors = given.params;
    let state: Tensors = given.data;
    const totals: Record<string, Float64Array> = {};
    for (const [i, chunk] of (part.chunks as JsonRecord[]).entries()) {
      const [from, to] = chunk.steps as [number, number];
      const at = { ...given, params, data: { ...cut(given.data, from, to), ...initialStates(state) } };
      const { results, carried } = await runChunk(backend, system, at);
      const compare = (group: string, prefix: string) => {
        for (const [name, theirs] of Object.entries(asTensors(chunk[group] ?? {}, given, group)))
          add(`${prefix}.${name} (${mode}, chunk ${i})`, results[`${prefix}.${name}`]!, theirs);
      };
      add(`loss (${mode}, chunk ${i})`, results.loss!, { shape: [1], data: [Number(chunk.loss)] });
      compare('grads', 'grads');
      compare('initial_state_grads', 'data_grads');
      compare('final_state', 'final_state');
      state = carried;
      for (const name of Object.keys(params)) {
        const gradient = results[`grads.${name}`]!;
        totals[name] ??= new Float64Array(gradient.length);
        gradient.forEach((g, k) => (totals[name]![k]! += g));
      }
      if (mode === 'accumulate') continue;
      params = Object.fromEntries(
        Object.entries(params).map(([name, { shape, data }]) => {
          const gradient = results[`grads.${name}`]!;
          return [name, { shape, data: data.map((x, k) => x - lr * gradient[k]!) }];
        }),
      );
      for (const [name, theirs] of Object.entries(asTensors(chunk.params_after ?? {}, given, 'params_after')))
        add(`params_after.${name} (chunk ${i})`, params[name]!.data, theirs);
    }
    for (const [name, theirs] of Object.entries(asTensors(part.total_grads ?? {}, given, 'total_grads')))
      add(`grads.${name} (total)`, totals[name]!, theirs);
  }
}

async function runChunk(backend: Backend, system: System, given: FixtureCase) {
  const on = new Builder();
  const { params, data, network } = declare(on, system, given);
  const names = Object.keys(params);
  const states = Object.keys(network.carried);
  const gradients = adjoint(
    on,
    [{ value: network.loss, adjoint: on.constant(1) }],
    [...names.map((n) => params[n]!), ...states.map((n) => data[n]!)],
  );
  const outputs: Record<string, Value> = { loss: on.reshape(network.loss, [1]) };
  names.forEach((n, i) => (outputs[`grads.${n}`] = gradients[i]!));
  states.forEach((n, i) => (outputs[`data_grads.${n}`] = gradients[names.length + i]!));
  for (const name of states) outputs[`final_state.${name}`] = network.finalState[network.carried[name]!]!;
  const results = await runOnce(backend, on, outputs, { ...given.params, ...given.data });
  const carried = Object.fromEntries(
    states.map((n) => [n, { shape: data[n]!.type.shape, data: Array.from(results[`final_state.${n}`]!) }]),
  );
  return { results, carried };
}

/** Entries of padded steps are 0 in the fixtures. */
function masked(
  on: Builder,
  values: Readonly<Record<string, Value>>,
  mask: Value | undefined,
): Record<string, Value> {
  if (mask === undefined) return { ...values };
  return Object.fromEntries(
    Object.entries(values).map(([name, v]) => {
      const ones = new Array<number>(v.type.shape.length - 2).fill(1);
      return [name, on.mul(v, on.reshape(mask, [...mask.type.shape, ...ones]))];
    }),
  );
}

/** Steps from..to of the sequences among the data. */
function cut(data: Tensors, from: number, to: number): Tensors {
  const sequences = ['X', 'target', 'w', 'mask'].filter((name) => data[name] !== undefined);
  return Object.fromEntries(
    sequences.map((name) => {
      const { shape, data: all } = data[name]!;
      const step = all.length / shape[0]!;
      return [name, { shape: [to - from, ...shape.slice(1)], data: all.slice(from * step, to * step) }];
    }),
  );
}

const initialStates = (data: Tensors): Tensors =>
  Object.fromEntries(Object.entries(data).filter(([name]) => !['X', 'target', 'w', 'mask'].includes(name)));
