/** Rows added to the rows of a table that ids pick, one after the other. */
import type { ScatterAddStage } from '../../../../kernels/stage.js';
import { inDomain, simplify } from './domain.js';
import type { CompiledStage, Environment } from './environment.js';
import { f32x4, i32 } from './expression.js';
import { nest } from './nest.js';
import { Rows } from './rows.js';

export function compileScatterAdd(stage: ScatterAddStage, environment: Environment): CompiledStage {
  const f = environment.module.function('i32');
  const t = f.parameter(0);
  const { target, source, ids } = stage;

  const table = simplify([stage.size, stage.width], [target]);
  const clearing = new Rows(f, environment, [{ kind: 'constant', value: 0 }], [0]);
  const cleared = clearing.access(inDomain(target, table));
  const adding = new Rows(f, environment, [{ kind: 'load', ref: source, gather: null }], [0]);
  const [rowStride, columnStride] = target.strides;
  const picked = adding.access(
    { ...target, strides: [0, columnStride!] },
    { ids: { ...ids, strides: [ids.strides[0]!, 0] }, stride: rowStride! },
  );

  clearing.enter(t);
  nest(f, table.shape.slice(0, -1), (outer) =>
    clearing.row(outer, i32.constant(0), i32.constant(table.shape.at(-1)!), (lanes, value) =>
      cleared.store(lanes, value(0)),
    ),
  );
  adding.enter(t);
  f.for(i32.constant(0), i32.constant(stage.count), 1, (n) =>
    adding.row([n], i32.constant(0), i32.constant(stage.width), (lanes, value) =>
      picked.store(lanes, f32x4.add(picked.load(lanes), value(0))),
    ),
  );
  return { prepare: null, execute: f };
}
