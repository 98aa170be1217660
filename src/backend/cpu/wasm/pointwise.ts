/** Pointwise stages: a loop nest around rows. */
import type { PointwiseStage } from '../../../../kernels/stage.js';
import { inDomain, mapOperands, operandsOf, simplify } from './domain.js';
import type { CompiledStage, Environment } from './environment.js';
import { i32 } from './expression.js';
import { nest } from './nest.js';
import { Rows, type Sink } from './rows.js';
import { share, stageFunction, timeOf } from './share.js';

/** In elements. */
const CACHE_LINE = 16;

export function compilePointwise(stage: PointwiseStage, environment: Environment): CompiledStage {
  const operands = [...operandsOf(stage.scalars), ...stage.stores.map(({ ref }) => ref)];
  const domain = simplify(stage.shape, operands);
  const scalars = stage.scalars.map((scalar) => mapOperands(scalar, (operand) => inDomain(operand, domain)));

  const f = stageFunction(environment.module);
  const rows = new Rows(
    f,
    environment,
    scalars,
    stage.stores.map(({ value }) => value),
  );
  const stores = stage.stores.map(({ ref, value }) => ({ to: rows.access(inDomain(ref, domain)), value }));
  const sink: Sink = (lanes, value) => {
    for (const store of stores) store.to.store(lanes, value(store.value));
  };
  rows.enter(timeOf(f));
  const [first, ...rest] = domain.shape;
  const extent = rest.pop();
  if (extent === undefined) {
    const { from, to } = share(f, first!, CACHE_LINE);
    rows.row([], from, to, sink);
  } else {
    const { from, to } = share(f, first!);
    f.for(from, to, 1, (i) =>
      nest(f, rest, (inner) => rows.row([i, ...inner], i32.constant(0), i32.constant(extent), sink)),
    );
  }
  return { prepare: null, execute: [f] };
}
