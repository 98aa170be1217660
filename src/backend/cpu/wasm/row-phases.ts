/**
 * Rows stages: each row phase by phase, while it is in the cache. What a phase keeps for later ones and the sums it
 * ends with are in scratch memory, where later phases load them.
 */
import { type Phase, phasesOf } from '../../../../kernels/phases.js';
import type { Ref, RowsStage, Scalar, Store } from '../../../../kernels/stage.js';
import type { Expression } from './assembler.js';
import { inDomain, mapOperands, operandsOf, simplify } from './domain.js';
import type { CompiledStage, Environment } from './environment.js';
import { i32, storeLane } from './expression.js';
import { nest } from './nest.js';
import { Reduction } from './reduction.js';
import { Rows } from './rows.js';
import { share, stageFunction, timeOf } from './share.js';

export function compileRows(stage: RowsStage, environment: Environment): CompiledStage {
  const f = stageFunction(environment.module);
  const last = stage.shape.length - 1;
  const columns = stage.shape[last]!;
  const operands = [...operandsOf(stage.scalars), ...stage.stores.map(({ ref }) => ref)];
  const outer = simplify(
    stage.shape.slice(0, last),
    operands.map((operand) => ({ ...operand, strides: operand.strides.slice(0, last) })),
  );
  const domain = { shape: [...outer.shape, columns], axes: [...outer.axes, last] };
  const scalars = stage.scalars.map((scalar) => mapOperands(scalar, (operand) => inDomain(operand, domain)));
  const stores = stage.stores.map(({ ref, value }) => ({ ref: inDomain(ref, domain), value }));

  const { scratch } = environment;
  scratch.reset();
  const buffer = environment.buffers.length;
  const origins = new Map([[buffer, scratch.base]]);
  /** A place in scratch memory: for a row of numbers, or for one. */
  const place = (stride: 0 | 1): Ref => ({
    buffer,
    offset: scratch.take(4 * (stride === 0 ? 1 : columns)) / 4,
    strides: [...outer.shape.map(() => 0), stride],
    time: null,
  });
  const phases = phasesOf(stage, true);
  const found = new Map<number, Ref>();
  for (const { sums, keeps } of phases) {
    for (const kept of keeps) found.set(kept, place(1));
    for (const sum of sums) found.set(sum, place(0));
  }
  const pass = (wanted: readonly number[], { reads }: Pick<Phase, 'reads'>): Rows => {
    const inPhase = scalars.map((s, k): Scalar => {
      const isFound = (s.kind === 'rowSum' && found.has(k)) || reads.has(k);
      return isFound ? { kind: 'load', ref: found.get(k)!, gather: null } : s;
    });
    return new Rows(f, environment, inPhase, wanted, origins);
  };

  const isOncePerRow = ({ ref }: Store) => ref.strides.at(-1) === 0;
  const passes = phases.map((phase, n) => {
    const stored = n === phases.length - 1 ? stores.filter((s) => !isOncePerRow(s)) : [];
    const sums = phase.sums.map((k) => ({
      of: (scalars[k] as Scalar & { kind: 'rowSum' }).value,
      to: i32.plus(scratch.base, 4 * found.get(k)!.offset),
      total: new Reduction(f, 'sum'),
    }));
    const wanted = [...phase.keeps, ...sums.map(({ of }) => of), ...stored.map(({ value }) => value)];
    const rows = pass(wanted, phase);
    const outputs = [
      ...phase.keeps.map((value) => ({ value, to: rows.access(found.get(value)!) })),
      ...stored.map(({ ref, value }) => ({ value, to: rows.access(ref) })),
    ];
    const run = (row: readonly Expression[]): void => {
      for (const { total } of sums) total.start();
      rows.row(row, i32.constant(0), i32.constant(columns), (lanes, value) => {
        for (const { of, total } of sums) total.add(value(of), lanes);
        for (const output of outputs) output.to.store(lanes, value(output.value));
      });
      for (const { to, total } of sums) storeLane(f, to, 0, 0, total.finish());
    };
    return { rows, run };
  });
  const perRow = stores.filter(isOncePerRow);
  const once = pass(
    perRow.map(({ value }) => value),
    { reads: new Set() },
  );
  const results = perRow.map(({ ref, value }) => ({ value, to: once.access(ref) }));

  for (const { rows } of passes) rows.enter(timeOf(f));
  once.enter(timeOf(f));
  const { from, to } = share(f, outer.shape[0]!);
  f.for(from, to, 1, (first) =>
    nest(f, outer.shape.slice(1), (rest) => {
      for (const { run } of passes) run([first, ...rest]);
      if (results.length > 0)
        once.row([first, ...rest], i32.constant(0), i32.constant(1), (lanes, value) => {
          for (const result of results) result.to.store(lanes, value(result.value));
        });
    }),
  );
  return { prepare: null, execute: [f] };
}
