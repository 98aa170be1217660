/**
 * Sums over some axes of a domain. Where the operands are contiguous along a reduced axis, rows of it
 * are summed in a register; otherwise rows along a kept axis are added up in scratch memory, one for each place
 * in the reduced axes. Both orders are fixed.
 */
import type { ReduceStage, Ref } from '../../../../kernels/stage.js';
import { startAddress } from './addresses.js';
import type { Expression } from './assembler.js';
import { type Domain, inDomain, mapOperands, operandsOf, simplify } from './domain.js';
import type { CompiledStage, Environment } from './environment.js';
import { affine, f32x4, i32, storeLane } from './expression.js';
import { nest } from './nest.js';
import { Reduction } from './reduction.js';
import { Rows } from './rows.js';
import { share, stageFunction, timeOf } from './share.js';

/** Elements of a kept row that are added to at a time: what stays in a first-level cache. */
const CHUNK = 2048;
/** Of a vector. */
const LANES = 4;

export function compileReduce(stage: ReduceStage, environment: Environment): CompiledStage {
  const { scalars, stores } = stage;
  const rank = stage.kept.length;
  const operands = operandsOf(scalars);
  const along = (from: number, to?: number) =>
    operands.map((operand) => ({ ...operand, strides: operand.strides.slice(from, to) }));
  const kept = simplify(stage.kept, [...along(0, rank), ...stores]);
  // The axes of both index those of the stage, [...kept, ...reduced].
  const local = simplify(stage.reduced, along(rank));
  const reduced = { ...local, axes: local.axes.map((axis) => (axis === null ? null : axis + rank)) };

  const contiguous = (axis: number | null | undefined) =>
    operands.filter(({ strides }) => strides[axis ?? -1] === 1).length;
  const compile = contiguous(kept.axes.at(-1)) > contiguous(reduced.axes.at(-1)) ? addRows : sumRows;
  return compile(stage, environment, kept, reduced);
}

function sumRows(stage: ReduceStage, environment: Environment, kept: Domain, reduced: Domain): CompiledStage {
  const f = stageFunction(environment.module);
  const t = timeOf(f);
  const domain = { shape: [...kept.shape, ...reduced.shape], axes: [...kept.axes, ...reduced.axes] };
  const scalars = stage.scalars.map((scalar) => mapOperands(scalar, (operand) => inDomain(operand, domain)));
  const rows = new Rows(f, environment, scalars, [stage.value]);
  const sum = new Reduction(f, 'sum');
  const stores = stage.stores.map((ref) => {
    const bytes = inDomain(ref, kept).strides.map((stride) => 4 * stride);
    return { start: f.let('i32', startAddress(ref, t)), bytes };
  });
  rows.enter(t);
  const { from, to } = share(f, kept.shape[0]!);
  const sumPlace = (place: readonly Expression[]): void => {
    sum.start();
    nest(f, reduced.shape.slice(0, -1), (outer) =>
      rows.row([...place, ...outer], i32.constant(0), i32.constant(reduced.shape.at(-1)!), (lanes, value) =>
        sum.add(value(stage.value), lanes),
      ),
    );
    const result = sum.finish();
    for (const { start, bytes } of stores) storeLane(f, affine(start, place, bytes), 0, 0, result);
  };
  f.for(from, to, 1, (i) => nest(f, kept.shape.slice(1), (rest) => sumPlace([i, ...rest])));
  return { prepare: null, execute: [f] };
}

function addRows(stage: ReduceStage, environment: Environment, kept: Domain, reduced: Domain): CompiledStage {
  const f = stageFunction(environment.module);
  const t = timeOf(f);
  const extent = kept.shape.at(-1)!;
  const domain = {
    shape: [...kept.shape.slice(0, -1), ...reduced.shape, extent],
    axes: [...kept.axes.slice(0, -1), ...reduced.axes, kept.axes.at(-1)!],
  };
  environment.scratch.reset();
  const { base } = environment.scratch;
  const scratch = environment.scratch.take(4 * Math.min(CHUNK, extent));
  // The chunk is addressed as if it were the whole row, in a buffer of its own.
  const origin = f.local('i32');
  const buffer = environment.buffers.length;
  const origins = new Map([[buffer, f.variable(origin)]]);
  const chunk = (rank: number): Ref => ({
    buffer,
    offset: 0,
    strides: [...Array<number>(rank - 1).fill(0), 1],
    time: null,
  });

  const start = new Rows(f, environment, [{ kind: 'constant', value: 0 }], [0], origins);
  const started = start.access(chunk(1));
  const scalars = stage.scalars.map((scalar) => mapOperands(scalar, (operand) => inDomain(operand, domain)));
  const rows = new Rows(f, environment, scalars, [stage.value], origins);
  const running = rows.access(chunk(domain.shape.length));
  const finish = new Rows(
    f,
    environment,
    [{ kind: 'load', ref: chunk(kept.shape.length), gather: null }],
    [0],
    origins,
  );
  const stores = stage.stores.map((ref) => finish.access(inDomain(ref, kept)));

  const mine = share(f, extent, LANES);
  f.for(mine.from, mine.to, CHUNK, (from) => {
    const to = f.let('i32', i32.min(i32.plus(from, CHUNK), mine.to));
    f.set(origin, affine(i32.plus(base, scratch), [from], [-4]));
    for (const pass of [start, rows, finish]) pass.enter(t);
    nest(f, kept.shape.slice(0, -1), (outer) => {
      start.row([], from, to, (lanes, value) => started.store(lanes, value(0)));
      nest(f, reduced.shape, (place) =>
        rows.row([...outer, ...place], from, to, (lanes, value) =>
          running.store(lanes, f32x4.add(running.load(lanes), value(stage.value))),
        ),
      );
      finish.row(outer, from, to, (lanes, value) => {
        for (const store of stores) store.store(lanes, value(0));
      });
    });
  });
  return { prepare: null, execute: [f] };
}
