/** A case's program with everything the transforms make of it. */
import { adjoint } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import type { Program, Value } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import type { Case } from './programs.js';

const nameOf = (value: Value): string => (value.node.op as { name: string }).name;

/**
 * Outputs: `out`, its tangent `jv` along the inputs `dot <name>`, its adjoints `bar <name>` from the input `u`, and
 * their tangents `hv <name>`: second derivatives.
 */
export function withDerivatives({ build }: Case): Program {
  const b = new Builder();
  const { y, wrt } = build(b);
  const u = b.input('u', y.type);
  const along = new Map(wrt.map((v) => [v, b.input(`dot ${nameOf(v)}`, v.type)]));
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const [jv] = tangent(b, [y], along);
  const hv = tangent(b, bars, along);
  return b.build({
    out: y,
    jv: jv!,
    ...Object.fromEntries(bars.map((v, i) => [`bar ${nameOf(wrt[i]!)}`, v])),
    ...Object.fromEntries(hv.map((v, i) => [`hv ${nameOf(wrt[i]!)}`, v])),
  });
}
