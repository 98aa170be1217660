/** Rows added to the rows of a table that ids pick, one after the other; an id out of range picks none. */
import type { ScatterAddStage } from '../../../../kernels/stage.js';
import { startAddress } from './addresses.js';
import type { CompiledStage, Environment } from './environment.js';
import { affine, f32x4, i32 } from './expression.js';
import { Rows } from './rows.js';
import { share, stageFunction, timeOf } from './share.js';

/** Of a vector. */
const LANES = 4;

export function compileScatterAdd(stage: ScatterAddStage, environment: Environment): CompiledStage {
  const f = stageFunction(environment.module);
  const { target, source, ids } = stage;
  const clearing = new Rows(f, environment, [{ kind: 'constant', value: 0 }], [0]);
  const cleared = clearing.access(target);
  const adding = new Rows(f, environment, [{ kind: 'load', ref: source, gather: null }], [0]);
  const [rowStride, columnStride] = target.strides;
  const id = f.local('i32');
  const picked = adding.access(
    { ...target, strides: [0, columnStride!] },
    i32.mul(f.variable(id), i32.constant(4 * rowStride!)),
  );

  const firstId = f.let('i32', startAddress(ids, timeOf(f)));
  for (const rows of [clearing, adding]) rows.enter(timeOf(f));
  const { from, to } = share(f, stage.width, LANES);
  f.for(i32.constant(0), i32.constant(stage.size), 1, (row) =>
    clearing.row([row], from, to, (lanes, value) => cleared.store(lanes, value(0))),
  );
  f.for(i32.constant(0), i32.constant(stage.count), 1, (n) => {
    f.set(id, i32.load(affine(firstId, [n], [4 * ids.strides[0]!]), 0));
    f.if(i32.isBelow(f.variable(id), stage.size), () =>
      adding.row([n], from, to, (lanes, value) =>
        picked.store(lanes, f32x4.add(picked.load(lanes), value(0))),
      ),
    );
  });
  return { prepare: null, execute: [f] };
}
