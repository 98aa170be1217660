/** Pointwise stages: a loop nest around rows. */
import type { PointwiseStage } from '../../../../kernels/stage.js';
import { inDomain, mapOperands, operandsOf, simplify } from './domain.js';
import type { CompiledStage, Environment } from './environment.js';
import { i32 } from './expression.js';
import { nest } from './nest.js';
import { Rows } from './rows.js';

export function compilePointwise(stage: PointwiseStage, environment: Environment): CompiledStage {
  const operands = [...operandsOf(stage.scalars), ...stage.stores.map(({ ref }) => ref)];
  const domain = simplify(stage.shape, operands);
  const scalars = stage.scalars.map((scalar) => mapOperands(scalar, (operand) => inDomain(operand, domain)));

  const f = environment.module.function('i32');
  const rows = new Rows(
    f,
    environment,
    scalars,
    stage.stores.map(({ value }) => value),
  );
  const stores = stage.stores.map(({ ref, value }) => ({ to: rows.access(inDomain(ref, domain)), value }));
  rows.enter(f.parameter(0));
  nest(f, domain.shape.slice(0, -1), (outer) =>
    rows.row(outer, i32.constant(0), i32.constant(domain.shape.at(-1)!), (lanes, value) => {
      for (const store of stores) store.to.store(lanes, value(store.value));
    }),
  );
  return { prepare: null, execute: f };
}
