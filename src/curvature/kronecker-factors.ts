/**
 * C(s,zeta) = d2E / da_s da_zeta of a weight's node, per sample (math.md 1.2, 2.1, 3.1), by unit perturbations of the
 * node: T m tangents of the gradient by it, in passes. They cost what the papers' two sweeps do, 8 r T^2 m^3 flops for
 * the top layer, and hold for every cell.
 */
import type { Backend, Capacity, Tensor } from '../backend/backend.js';
import { programTensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { Builder } from '../program/builder.js';
import { float, type Program, sizeOf, type Value } from '../program/program.js';
import { batchForward, type CurvatureBatch, type CurvatureProblem, writeBatch } from './batch-products.js';
import { parameterShape } from './blocks.js';
import { type KroneckerPart, type WeightNode, weightNode } from './kronecker.js';
import { precisionOf } from './precision.js';
import { gaussNewtonVector, hessianVector } from './products.js';
import { unitMatrix } from './unit-matrix.js';

/** Sums of Kronecker products: the Hessian's without M + M', or the Gauss-Newton matrix's block. */
export type ExplicitPart = Extract<KroneckerPart, 'hessian-sum' | 'gauss-newton'>;

/** Bytes of C made in one pass, unless a single step needs more. */
const PASS_BYTES = 2 ** 20;

export interface FactorsRequest {
  readonly batch: CurvatureBatch;
  readonly weight: string;
  readonly part: ExplicitPart;
}

/** C and phi of the samples of one batch, on the backend. The batch's weight is in C. */
export class BatchFactors implements Disposable {
  private constructor(
    /** r */
    readonly samples: number,
    /** T: the steps at which the weight is used, 1 where it is outside of time. */
    readonly steps: number,
    /** C as its rows of some steps s after others: each [r, (steps s) m, T m]. */
    readonly slabs: readonly Tensor[],
    /** phi, [r, T, n]; of one-hot inputs the vectors. */
    readonly seen: Tensor,
    private readonly runSlab: (slab: Tensor, first: number) => void,
    private readonly scope: Scope,
  ) {}

  /**
   * Room for C, and the program that makes it.
   * @throws KronogradError MEMORY; OPTION for what is no weight with one product
   */
  static async create(
    backend: Backend,
    problem: CurvatureProblem,
    request: FactorsRequest,
  ): Promise<BatchFactors> {
    const { batch } = request;
    const { r, T, m, n } = nodeSizes(nodeOf(new Builder(), problem, request), batch);
    const d = stepsAtOnce(T, r * m * T * m * precisionOf(backend).bytes);
    const program = slabProgram(problem, request, d);
    const scope = new Scope();
    try {
      const executable = scope.own(await backend.compile(program));
      const inputs = programTensors(backend, program, scope, ['theta', 'slab', 'seen']);
      const seen = scope.own(backend.tensor(float(r, T, n)));
      const slabs = Array.from({ length: T / d }, () => scope.own(backend.tensor(float(r, d * m, T * m))));
      const runSlab = (slab: Tensor, first: number) => {
        writeBatch(problem.model, batch, inputs);
        inputs.scalars!.write([batch.weight, first]);
        executable.run({ ...inputs, theta: problem.theta, seen, slab });
      };
      return new BatchFactors(r, T, slabs, seen, runSlab, scope);
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  /** C and phi at the problem's theta. Queued like any run. */
  compute(): void {
    this.slabs.forEach((slab, i) => {
      this.runSlab(slab, i * slab.type.shape[1]!);
    });
  }

  [Symbol.dispose](): void {
    this.scope[Symbol.dispose]();
  }
}

/** The largest divisor of T whose rows of C are made in one pass. */
function stepsAtOnce(T: number, bytesOfStep: number): number {
  for (let d = T; d > 1; d--) if (T % d === 0 && d * bytesOfStep <= PASS_BYTES) return d;
  return 1;
}

/** r, T and [m, n] of a weight's node in a batch. */
export interface FactorSizes {
  readonly r: number;
  readonly T: number;
  readonly m: number;
  readonly n: number;
}

/** Bytes of C: of one batch r T^2 m^2 numbers. `buffer`: the largest piece that must be in one buffer, a step's rows. */
export function curvatureBytes(sizes: readonly FactorSizes[], backend: Backend): Capacity {
  const { bytes } = precisionOf(backend);
  const whole = sizes.map(({ r, T, m }) => bytes * r * (T * m) ** 2);
  const rows = sizes.map(({ r, T, m }) => bytes * r * T * m * m);
  return { total: whole.reduce((a, b) => a + b, 0), buffer: Math.max(...rows) };
}

/** Whether a backend has room for C. */
export const hasRoom = ({ total, buffer }: Capacity, { capacity }: Backend): boolean =>
  total <= capacity.total && buffer <= capacity.buffer;

/** The sizes of a weight's node in each batch. @throws KronogradError OPTION for what is no weight with one product */
export const factorSizes = (problem: CurvatureProblem, weight: string): FactorSizes[] =>
  problem.batches.map((batch) => nodeSizes(nodeOf(new Builder(), problem, { batch, weight }), batch));

/** The rows of the node are T for each sample. */
export function nodeSizes(
  { perturbation, shape: [m, n] }: WeightNode,
  { samples: r }: { readonly samples: number },
): FactorSizes {
  return { r, T: sizeOf(perturbation.type.shape) / (r * m), m, n };
}

/**
 * A weight's node in the program of a batch: `writeBatch` fills its inputs, and `theta` is one.
 * @throws KronogradError OPTION for an unknown parameter, or one that is no weight with one product
 */
export function nodeOf(
  on: Builder,
  { model }: CurvatureProblem,
  { batch, weight }: Pick<FactorsRequest, 'batch' | 'weight'>,
): WeightNode {
  // Refuses names of no parameter.
  parameterShape(model, weight);
  const theta = on.input('theta', float(model.parameters.size));
  const outputs = batchForward(on, model, theta, batch);
  return weightNode(on, model.parameters.view(on, theta, weight), outputs, weight);
}

/** d steps' rows of C times the batch's weight, and phi. The scalars: that weight, and the first of the rows. */
function slabProgram(problem: CurvatureProblem, request: FactorsRequest, d: number): Program {
  const on = new Builder();
  const node = nodeOf(on, problem, request);
  const { r, T, m, n } = nodeSizes(node, request.batch);
  const [weight, first] = on.split(on.input('scalars', float(2)), 0, 2) as [Value, Value];
  const rows = curvatureRows(on, node, { r, part: request.part, first, count: d * m });
  const phi =
    node.seen.type.dtype === 'int'
      ? on.gather(unitMatrix(on, n), on.reshape(node.seen, [T, r]))
      : on.reshape(node.seen, [T, r, n]);
  return on.build({ slab: on.mul(rows, weight), seen: on.transpose(phi, [1, 0, 2]) });
}

/**
 * Rows first ... first + count - 1 of each sample's C as a matrix [T m, T m], row s m + p for unit p at step s:
 * [r, count, T m]. `first` is a number that the program may not know.
 */
export function curvatureRows(
  on: Builder,
  { perturbation: e, loss, prediction, shape: [m] }: WeightNode,
  { r, part, first, count }: { r: number; part: ExplicitPart; first: Value; count: number },
): Value {
  const T = sizeOf(e.type.shape) / (r * m);
  const vectors = [on.reshape(unitDirections(on, first, { count, T, r, m }), [count, ...e.type.shape])];
  const [product] =
    part === 'hessian-sum'
      ? hessianVector(on, loss, [e], vectors).product
      : gaussNewtonVector(on, prediction, loss, [e], vectors);
  const rows = on.transpose(on.reshape(product!, [count, T, r, m]), [2, 0, 1, 3]);
  return on.reshape(rows, [r, count, T * m]);
}

/** Directions first ... first + count - 1 of all T m, one unit of one step moved in every sample: [count, T, r, m]. */
function unitDirections(
  on: Builder,
  first: Value,
  { count, T, r, m }: { readonly count: number; readonly T: number; readonly r: number; readonly m: number },
): Value {
  const direction = on.add(on.iota([count, 1, 1, 1], 0), first);
  const step = on.mul(on.iota([1, T, 1, 1], 1), on.constant(m));
  const place = on.add(step, on.iota([1, 1, 1, m], 3));
  return on.broadcast(on.call('equal', direction, place), [count, T, r, m]);
}
