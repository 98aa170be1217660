/** A case's program with everything the transforms make of it. */
import { adjoint } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program, type Value } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import type { Case } from './programs.js';

const nameOf = (value: Value): string => (value.node.op as { name: string }).name;

/** Directions at once. */
const K = 3;

/**
 * Outputs: `out`, its tangent `jv` along the inputs `dot <name>`, its adjoints `bar <name>` from the input `u`, and
 * their tangents `hv <name>`: second derivatives. And `jvs`, `hvs <name>` along K directions at once, `dots <name>`.
 */
export function withDerivatives({ build }: Case): Program {
  const b = new Builder();
  const { y, wrt } = build(b);
  const u = b.input('u', y.type);
  const along = new Map(wrt.map((v) => [v, b.input(`dot ${nameOf(v)}`, v.type)]));
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const [jv] = tangent(b, [y], along);
  const hv = tangent(b, bars, along);
  const alongAll = new Map(wrt.map((v) => [v, b.input(`dots ${nameOf(v)}`, float(K, ...v.type.shape))]));
  const [jvs, ...hvs] = tangent(b, [y, ...bars], alongAll);
  return b.build({
    out: y,
    jv: jv!,
    jvs: jvs!,
    ...Object.fromEntries(bars.map((v, i) => [`bar ${nameOf(wrt[i]!)}`, v])),
    ...Object.fromEntries(hv.map((v, i) => [`hv ${nameOf(wrt[i]!)}`, v])),
    ...Object.fromEntries(hvs.map((v, i) => [`hvs ${nameOf(wrt[i]!)}`, v])),
  });
}
