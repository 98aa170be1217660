/** The Hessians that a fixture's case holds, written out: the whole, blocks of it, their structure, their eigenvalues. */
import type { Backend } from '../backend/backend.js';
import { eigenvaluesOf } from '../curvature/dense.js';
import { kroneckerSum, weightNode } from '../curvature/kronecker.js';
import { curvatureRows } from '../curvature/kronecker-factors.js';
import { gaussNewtonVector, hessianVector } from '../curvature/products.js';
import { unitMatrix } from '../curvature/unit-matrix.js';
import { KronogradError } from '../errors.js';
import { isRecord, type JsonRecord } from '../interop/json.js';
import { Builder } from '../program/builder.js';
import { sizeOf, type Value } from '../program/program.js';
import type { FixtureCase, FixtureTensor } from './fixture.js';
import type { Comparison } from './preprocessing.js';
import { asTensors, declare, runOnce } from './run.js';
import type { System } from './system.js';

/** What a program's outputs are compared with, by their names. */
type Wanted = Record<string, FixtureTensor>;

/** Everything under `hessian` of a case, and the names there that are not understood. */
export async function compareHessians(
  backend: Backend,
  system: System,
  given: FixtureCase,
): Promise<{ comparisons: Comparison[]; unsupported: string[] }> {
  const {
    full,
    full_eigenvalues,
    blocks: givenBlocks = {},
    C = {},
    ...others
  } = record(given.rest.hessian, given);
  const blocks = record(givenBlocks, given);
  const comparisons: Comparison[] = [];
  const add = (results: Readonly<Record<string, ArrayLike<number>>>, wanted: Wanted) => {
    for (const [quantity, theirs] of Object.entries(wanted))
      comparisons.push({ quantity, ours: results[quantity]!, theirs });
  };
  const addEigenvalues = (quantity: string, matrix: ArrayLike<number>, theirs: unknown) => {
    const { ours, expected } = ends(matrix, theirs, given);
    comparisons.push({ quantity, ours, theirs: expected });
  };

  const whole = await writtenOut(backend, system, given, blocks);
  const wholeWanted = full === undefined ? {} : asTensors({ 'hessian.full': full }, given, 'hessian.full');
  add(whole, { ...wholeWanted, ...blockMatrices(given, blocks) });
  if (full_eigenvalues !== undefined)
    addEigenvalues('hessian.full_eigenvalues', whole['hessian.full']!, full_eigenvalues);
  for (const [name, block] of Object.entries(blocks))
    if (isRecord(block) && block.eigenvalues !== undefined) {
      const matrix = whole[`hessian.blocks.${name}.matrix`]!;
      addEigenvalues(`hessian.blocks.${name}.eigenvalues`, matrix, block.eigenvalues);
    }
  for (const [weight, wanted] of Object.entries(structureWanted(given, blocks, record(C, given))))
    add(await structure(backend, system, given, weight), wanted);
  return { comparisons, unsupported: Object.keys(others).map((key) => `hessian.${key}`) };
}

/** The full Hessian, each block by the restricted R-operator, and the blocks of the Gauss-Newton matrix. */
async function writtenOut(backend: Backend, system: System, given: FixtureCase, blocks: JsonRecord) {
  const on = new Builder();
  const { params, network } = declare(on, system, given);
  const { loss, output } = network;
  const list = orderOf(given).map((name) => named(params, name, given));
  const sizes = list.map((v) => sizeOf(v.type.shape));
  const total = sizes.reduce((a, b) => a + b, 0);
  const unit = unitMatrix(on, total);
  const vectors = list.map((v, i) => {
    const before = sizes.slice(0, i).reduce((a, b) => a + b, 0);
    return on.reshape(on.slice(unit, 1, before, sizes[i]!), [total, ...v.type.shape]);
  });
  const { product } = hessianVector(on, loss, list, vectors);
  const parts = product.map((v, i) => on.reshape(v, [total, sizes[i]!]));
  const outputs: Record<string, Value> = { 'hessian.full': on.concat(parts, 1) };
  for (const [name, block] of Object.entries(blocks)) {
    const parameter = named(params, name, given);
    const size = sizeOf(parameter.type.shape);
    const columns = [on.reshape(unitMatrix(on, size), [size, ...parameter.type.shape])];
    const own = hessianVector(on, loss, [parameter], columns).product[0]!;
    outputs[`hessian.blocks.${name}.matrix`] = on.reshape(own, [size, size]);
    if (!isRecord(block) || block.gauss_newton === undefined) continue;
    const [gaussNewton] = gaussNewtonVector(on, output, loss, [parameter], columns);
    outputs[`hessian.blocks.${name}.gauss_newton`] = on.reshape(gaussNewton!, [size, size]);
  }
  return runOnce(backend, on, outputs, { ...given.params, ...given.data });
}

/** Of one weight: C as [r, T, T, m, m], or [r, m, m] without time, and sum C (x) phi phi'. */
async function structure(backend: Backend, system: System, given: FixtureCase, weight: string) {
  const on = new Builder();
  const { params, data, network } = declare(on, system, given);
  const outputs = { loss: network.loss, prediction: network.output };
  const node = weightNode(on, named(params, weight, given), outputs, PERTURBATION);
  const [m, n] = node.shape;
  const lead = data.X!.type.shape.slice(0, -1);
  const r = lead.at(-1)!;
  const T = sizeOf(lead) / r;
  const rows = curvatureRows(on, node, { r, part: 'hessian-sum', first: on.constant(0), count: T * m });
  const C = on.transpose(on.reshape(rows, [r, T, m, T, m]), [0, 1, 3, 2, 4]);
  const sum = kroneckerSum(on, node, on.reshape(unitMatrix(on, m * n), [m * n, m, n]));
  const zeros = { [PERTURBATION]: zerosLike(node.perturbation) };
  const results = await runOnce(backend, on, { C, sum }, { ...given.params, ...given.data, ...zeros });
  return {
    [`hessian.C.${C_NAMES.get(given.system!) ?? 'C'}${weight.slice(1)}`]: results.C!,
    [`hessian.blocks.${weight}.kronecker_part`]: results.sum!,
  };
}

const PERTURBATION = 'perturbation';

/** What the format calls C of layer k, before its number: Naumov's A_k of the feed-forward network. */
const C_NAMES: ReadonlyMap<string, string> = new Map([['fnn', 'A']]);

const zerosLike = ({ type: { shape } }: Value): FixtureTensor => ({
  shape,
  data: new Array<number>(sizeOf(shape)).fill(0),
});

function blockMatrices(given: FixtureCase, blocks: JsonRecord): Wanted {
  const wanted: Wanted = {};
  for (const [name, block] of Object.entries(blocks))
    for (const part of ['matrix', 'gauss_newton'])
      if (isRecord(block) && block[part] !== undefined)
        Object.assign(wanted, asTensors({ [`hessian.blocks.${name}.${part}`]: block[part] }, given, name));
  return wanted;
}

/** By weight, what it takes its node for: C, and the blocks' parts without M + M'. */
function structureWanted(given: FixtureCase, blocks: JsonRecord, C: JsonRecord): Record<string, Wanted> {
  const wanted: Record<string, Wanted> = {};
  const want = (weight: string, quantity: string, theirs: unknown) => {
    wanted[weight] = { ...wanted[weight], ...asTensors({ [quantity]: theirs }, given, quantity) };
  };
  for (const [name, theirs] of Object.entries(C)) want(`W${name.slice(1)}`, `hessian.C.${name}`, theirs);
  for (const [name, block] of Object.entries(blocks))
    if (isRecord(block) && block.kronecker_part !== undefined)
      want(name, `hessian.blocks.${name}.kronecker_part`, block.kronecker_part);
  return wanted;
}

/** The smallest eigenvalues of a matrix and the largest, as many as a case has of them. */
function ends(matrix: ArrayLike<number>, theirs: unknown, given: FixtureCase) {
  const { smallest, largest } = isRecord(theirs) ? theirs : {};
  if (!Array.isArray(smallest) || !Array.isArray(largest))
    throw new KronogradError('FIXTURE', 'eigenvalues need smallest and largest', { where: given.name });
  const n = Math.sqrt(matrix.length);
  const rows = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => matrix[i * n + j]!));
  const ascending = eigenvaluesOf(rows);
  const ours = [...ascending.slice(0, smallest.length), ...ascending.slice(-largest.length).reverse()];
  const data = [...smallest, ...largest].map(Number);
  return { ours, expected: { shape: [data.length], data } };
}

/** The parameters in the order in which the full Hessian has them. */
function orderOf({ rest, params }: FixtureCase): string[] {
  return Array.isArray(rest.param_order) ? rest.param_order.map(String) : Object.keys(params);
}

/** @throws KronogradError FIXTURE */
function record(json: unknown, { name }: FixtureCase): JsonRecord {
  if (isRecord(json)) return json as JsonRecord;
  throw new KronogradError('FIXTURE', 'expected an object', { where: `${name}, hessian` });
}

/** @throws KronogradError FIXTURE */
function named(params: Readonly<Record<string, Value>>, parameter: string, { name }: FixtureCase): Value {
  const value = params[parameter];
  if (value !== undefined) return value;
  throw new KronogradError('FIXTURE', `the case has no parameter '${parameter}'`, {
    where: `${name}, hessian`,
  });
}
