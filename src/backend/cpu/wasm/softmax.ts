/** Softmax, by itself and with cross-entropy: three passes along each row while it is in the cache. */
import type { Ref, Scalar, SoftmaxCrossEntropyStage, SoftmaxStage } from '../../../../kernels/stage.js';
import { startAddress } from './addresses.js';
import type { Expression, FunctionBuilder } from './assembler.js';
import type { CompiledStage, Environment } from './environment.js';
import { affine, f32x4, i32, i32x4, load, storeLane, v128 } from './expression.js';
import { vectorCall } from './math.js';
import { Reduction } from './reduction.js';
import { type Access, Rows } from './rows.js';
import { share, stageFunction, timeOf } from './share.js';

const { sub, mul, div } = f32x4;
const zero = f32x4.constant(0);

const loadOf = (ref: Ref): Scalar => ({ kind: 'load', ref, gather: null });

export function compileSoftmax(stage: SoftmaxStage, environment: Environment): CompiledStage {
  const f = stageFunction(environment.module);
  const passes = new RowPasses(f, environment, stage.columns);
  const exponentials = passes.exponentials(stage.input, stage.output);
  const scaling = passes.pass([loadOf(stage.output)]);
  const scaled = scaling.rows.access(stage.output);
  passes.enter();
  const { from, to } = share(f, stage.rows);
  f.for(from, to, 1, (row) => {
    const { sum } = exponentials(row);
    const scale = f.let('v128', div(f32x4.constant(1), sum));
    scaling.run(row, (lanes, value) => scaled.store(lanes, mul(value(0), scale)));
  });
  return { prepare: null, execute: [f] };
}

export function compileSoftmaxCrossEntropy(
  stage: SoftmaxCrossEntropyStage,
  environment: Environment,
): CompiledStage {
  const f = stageFunction(environment.module);
  const t = timeOf(f);
  const { logits, target, loss, gradient } = stage;
  const isDense = target.kind === 'dense';
  const passes = new RowPasses(f, environment, stage.columns);
  const exponentials = passes.exponentials(logits, null);
  const dense = isDense ? passes.pass([loadOf(logits), loadOf(target.ref)]) : null;
  const slope = passes.pass(isDense ? [loadOf(logits), loadOf(target.ref)] : [loadOf(logits)]);
  const toGradient = gradient && slope.rows.access(gradient);
  const start = (ref: Ref) => f.let('i32', startAddress(ref, t));
  const starts = {
    logits: start(logits),
    target: start(target.ref),
    weight: start(stage.weight),
    loss: loss && start(loss),
    gradient: gradient && start(gradient),
  };
  /** The address of an operand at a row, and a column if it has any. */
  const place = (from: Expression, ref: Ref, ...indices: Expression[]) =>
    f.let(
      'i32',
      affine(
        from,
        indices,
        ref.strides.map((stride) => 4 * stride),
      ),
    );
  const splat = (address: Expression) => f.let('v128', load('v128.load32_splat', address, 0));
  const totals = { mass: new Reduction(f, 'sum'), product: new Reduction(f, 'sum') };

  passes.enter();
  const { from, to } = share(f, stage.rows);
  f.for(from, to, 1, (row) => {
    const { max, sum } = exponentials(row);
    const weight = splat(place(starts.weight, stage.weight, row));
    const label = isDense ? null : f.let('i32', i32.load(place(starts.target, target.ref, row), 0));
    const column = label && f.let('i32', i32.clamp(label, stage.columns));
    // s, the sum of the target, and t.(o - max): the loss is w (s log(sum of exponentials) - t.(o - max)).
    let mass = f32x4.constant(1);
    let product: Expression;
    if (label !== null && column !== null) {
      // A class number out of range turns the row into NaN, unless it weighs nothing.
      const distance = f32x4.fromInt(i32x4.splat(i32.sub(label, column)));
      const isUnknown = v128.and(f32x4.notEqual(distance, zero), f32x4.notEqual(weight, zero));
      mass = f.let('v128', v128.select(isUnknown, f32x4.constant(Number.NaN), mass));
      product = f.let('v128', sub(splat(place(starts.logits, logits, row, column)), max));
    } else {
      totals.mass.start();
      totals.product.start();
      dense!.run(row, (lanes, value) => {
        totals.mass.add(value(1), lanes);
        totals.product.add(mul(value(1), sub(value(0), max)), lanes);
      });
      mass = totals.mass.finish();
      product = totals.product.finish();
    }
    if (starts.loss !== null) {
      const logSum = f.let('v128', vectorCall(f, 'log', [sum]));
      const value = mul(weight, sub(mul(mass, logSum), product));
      storeLane(f, place(starts.loss, loss!, row), 0, 0, value);
    }
    if (starts.gradient !== null) {
      const scale = f.let('v128', div(mul(weight, mass), sum));
      slope.run(row, (lanes, value) => {
        const share = mul(exponential(f, value(0), max), scale);
        toGradient!.store(lanes, isDense ? sub(share, mul(weight, value(1))) : share);
      });
      if (column !== null) {
        const hit = place(starts.gradient, gradient!, row, column);
        storeLane(f, hit, 0, 0, sub(splat(hit), weight));
      }
    }
  });
  return { prepare: null, execute: [f] };
}

const exponential = (f: FunctionBuilder, x: Expression, max: Expression): Expression =>
  vectorCall(f, 'exp', [f.let('v128', sub(x, max))]);

type Pass = {
  readonly rows: Rows;
  readonly run: (row: Expression, sink: Parameters<Rows['row']>[3]) => void;
};

/** Passes along the same rows, in one function. */
class RowPasses {
  readonly #passes: Rows[] = [];

  constructor(
    private readonly f: FunctionBuilder,
    private readonly environment: Environment,
    private readonly columns: number,
  ) {}

  pass(scalars: readonly Scalar[]): Pass {
    const rows = new Rows(this.f, this.environment, scalars, [...scalars.keys()]);
    this.#passes.push(rows);
    const run: Pass['run'] = (row, sink) =>
      rows.row([row], i32.constant(0), i32.constant(this.columns), sink);
    return { rows, run };
  }

  /** Two passes: the largest element of a row, then e^(x - max), kept if there is a place for it, and their sum. */
  exponentials(input: Ref, output: Ref | null): (row: Expression) => { max: Expression; sum: Expression } {
    const { f } = this;
    const first = this.pass([loadOf(input)]);
    const second = this.pass([loadOf(input)]);
    const kept: Access | null = output && second.rows.access(output);
    const largest = new Reduction(f, 'max');
    const total = new Reduction(f, 'sum');
    return (row) => {
      largest.start();
      first.run(row, (lanes, value) => largest.add(value(0), lanes));
      const max = largest.finish();
      total.start();
      second.run(row, (lanes, value) => {
        const e = f.let('v128', exponential(f, value(0), max));
        kept?.store(lanes, e);
        total.add(e, lanes);
      });
      return { max, sum: total.finish() };
    };
  }

  enter(): void {
    for (const rows of this.#passes) rows.enter(timeOf(this.f));
  }
}
