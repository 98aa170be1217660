/** Clipping inside BPTT against the papers' backward recursions, written out, with a clamp where they have one. */
import { describe, expect, it, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { cells } from '../../src/cells/index.js';
import { recurrent, recurrentParameters, stateShapes } from '../../src/model/recurrent.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program } from '../../src/program/program.js';
import { schedule } from '../../src/schedule/index.js';
import { totals } from '../../src/schedule/print.js';
import { backends } from '../support/backends.js';
import { expectClose, randomInputs } from '../support/numbers.js';

const [T, n, d] = [7, 3, 4];
const LIMIT = 0.05;
type Data = Record<string, Float64Array>;

/** Gradients, by parameter, input and first state, of sum e[t] . output[t], for r samples. */
function bptt(cell: string, clipAccumulations: number, r = 1): Program {
  const on = new Builder();
  const config = { cell: cells[cell]!, input: n, hidden: d, layers: 1, clipAccumulations };
  const named = (shapes: Readonly<Record<string, readonly number[]>>) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, on.input(name, float(...shape))]),
    );
  const parameters = named(recurrentParameters(config));
  const state = named(stateShapes(config, r));
  const x = on.input('x', float(T, r, n));
  const { output } = recurrent(on, config, { x, state, parameter: (name) => parameters[name]! });
  const loss = on.sumAll(on.mul(output, on.input('e', output.type)));
  const wrt = { ...parameters, ...state, x };
  const bars = gradient(on, loss, Object.values(wrt));
  return on.build(Object.fromEntries(Object.keys(wrt).map((name, i) => [`bar ${name}`, bars[i]!])));
}

/** What the recursion adds up, by parameter. */
class Gradients {
  readonly bars: Data = {};
  clipped = 0;
  passed = 0;

  clamp = (a: number): number => {
    if (Math.abs(a) > LIMIT) this.clipped++;
    else this.passed++;
    return Math.max(-LIMIT, Math.min(LIMIT, a));
  };

  outer(name: string, a: readonly number[], z: readonly number[]): void {
    this.bars[name] ??= new Float64Array(a.length * z.length);
    a.forEach((ai, i) => {
      z.forEach((zj, j) => {
        this.bars[name]![i * z.length + j]! += ai * zj;
      });
    });
  }
}

const range = (size: number) => Array.from({ length: size }, (_, i) => i);
/** W z, and W' z. */
const times = (W: Float64Array, z: readonly number[]) =>
  range(W.length / z.length).map((i) => z.reduce((sum, zj, j) => sum + W[i * z.length + j]! * zj, 0));
const timesT = (W: Float64Array, z: readonly number[]) =>
  range(W.length / z.length).map((j) =>
    z.reduce((sum, zi, i) => sum + W[i * (W.length / z.length) + j]! * zi, 0),
  );
const plus = (...terms: readonly (readonly number[])[]) =>
  terms[0]!.map((_, i) => terms.reduce((sum, term) => sum + term[i]!, 0));
const sigma = (a: number) => 1 / (1 + Math.exp(-a));
const row = (data: Float64Array, t: number, size: number) =>
  Array.from(data.subarray(t * size, (t + 1) * size));

/** Section 4: the canonical RNN, psi clipped; without W_s, the standard one. */
function canonical(p: Data): Gradients {
  const g = new Gradients();
  const W_s = p.W_s_l0 ?? new Float64Array(d * d);
  const [W_r, W_x, theta] = [p.W_r_l0!, p.W_x_l0!, Array.from(p.theta_s_l0!)];
  const isCanonical = p.W_s_l0 !== undefined;
  const s = [Array.from(p.s!)];
  const r = [s[0]!.map(Math.tanh)];
  for (let t = 0; t < T; t++) {
    s.push(plus(times(W_s, s[t]!), times(W_r, r[t]!), times(W_x, row(p.x!, t, n)), theta));
    r.push(s[t + 1]!.map(Math.tanh));
  }
  g.bars.x = new Float64Array(T * n);
  let psi: number[] = range(d).map(() => 0);
  for (let t = T - 1; t >= 0; t--) {
    const chi = plus(row(p.e!, t, d), timesT(W_r, psi)); // (82)
    const back = timesT(W_s, psi);
    psi = chi.map((c, i) => g.clamp(c * (1 - r[t + 1]![i]! ** 2) + back[i]!)); // (84)
    g.outer('W_r_l0', psi, r[t]!);
    if (isCanonical) g.outer('W_s_l0', psi, s[t]!);
    g.outer('W_x_l0', psi, row(p.x!, t, n));
    g.outer('theta_s_l0', psi, [1]);
    g.bars.x.set(timesT(W_x, psi), t * n);
  }
  const first = timesT(W_r, psi);
  const direct = timesT(W_s, psi);
  g.bars.s = Float64Array.from(first, (f, i) => (1 - r[0]![i]! ** 2) * f + direct[i]!);
  return g;
}

/** Section 5: the Vanilla LSTM, every alpha clipped. */
function vanilla(p: Data): Gradients {
  const g = new Gradients();
  const W = (name: string) => p[`${name}_l0`]!;
  const [s, v] = [[Array.from(p.s!)], [Array.from(p.v!)]];
  const steps: Record<'cu' | 'cs' | 'cr' | 'u', number[]>[] = [];
  for (let t = 0; t < T; t++) {
    const x = row(p.x!, t, n);
    const a = (gate: string, at: number[]) =>
      plus(times(W(`Wx_${gate}`), x), times(W(`Ws_${gate}`), at), times(W(`Wv_${gate}`), v[t]!), [
        ...W(`b_${gate}`),
      ]);
    const cu = a('cu', s[t]!).map(sigma);
    const cs = a('cs', s[t]!).map(sigma);
    const u = plus(times(W('Wx_du'), x), times(W('Wv_du'), v[t]!), [...W('b_du')]).map(Math.tanh);
    s.push(s[t]!.map((before, i) => cs[i]! * before + cu[i]! * u[i]!));
    const cr = a('cr', s[t + 1]!).map(sigma);
    v.push(cr.map((gate, i) => gate * Math.tanh(s[t + 1]![i]!)));
    steps.push({ cu, cs, cr, u });
  }
  g.bars.x = new Float64Array(T * n);
  let fChi: number[] = range(d).map(() => 0);
  let fPsi = fChi;
  for (let t = T - 1; t >= 0; t--) {
    const { cu, cs, cr, u } = steps[t]!;
    const r = s[t + 1]!.map(Math.tanh);
    const chi = plus(row(p.e!, t, d), fChi); // (144)
    const alpha: Record<string, number[]> = {};
    alpha.cr = chi.map((c, i) => g.clamp(c * r[i]! * cr[i]! * (1 - cr[i]!))); // (147)
    const peep = timesT(W('Ws_cr'), alpha.cr);
    const psi = chi.map((c, i) => c * cr[i]! * (1 - r[i]! ** 2) + peep[i]! + fPsi[i]!); // (150)
    alpha.cs = psi.map((q, i) => g.clamp(q * s[t]![i]! * cs[i]! * (1 - cs[i]!))); // (151)
    alpha.cu = psi.map((q, i) => g.clamp(q * u[i]! * cu[i]! * (1 - cu[i]!))); // (152)
    alpha.du = psi.map((q, i) => g.clamp(q * cu[i]! * (1 - u[i]! ** 2))); // (153)
    for (const [gate, each] of Object.entries(alpha)) {
      g.outer(`Wx_${gate}_l0`, each, row(p.x!, t, n));
      g.outer(`Wv_${gate}_l0`, each, v[t]!);
      g.outer(`b_${gate}_l0`, each, [1]);
      if (gate !== 'du') g.outer(`Ws_${gate}_l0`, each, gate === 'cr' ? s[t + 1]! : s[t]!);
    }
    const gates = Object.entries(alpha);
    fChi = plus(...gates.map(([gate, each]) => timesT(W(`Wv_${gate}`), each))); // (154)
    fPsi = plus(
      timesT(W('Ws_cu'), alpha.cu),
      timesT(W('Ws_cs'), alpha.cs),
      psi.map((q, i) => cs[i]! * q),
    ); // (155)
    g.bars.x.set(plus(...gates.map(([gate, each]) => timesT(W(`Wx_${gate}`), each))), t * n);
  }
  g.bars.v = Float64Array.from(fChi);
  g.bars.s = Float64Array.from(fPsi);
  return g;
}

describe.each([
  ['standard-rnn', canonical],
  ['canonical-rnn', canonical],
  ['vanilla-lstm', vanilla],
])('%s', (cell, byHand) => {
  it('clips each accumulation at each step, and nothing else', () => {
    const program = bptt(cell, LIMIT);
    const inputs = randomInputs(program, 3) as Data;
    const expected = byHand(inputs);
    // The data tests both sides of the clamp.
    expect(expected.clipped).toBeGreaterThan(T);
    expect(expected.passed).toBeGreaterThan(T);
    const bars = interpret(program, inputs);
    expect(Object.keys(bars).sort()).toEqual(
      Object.keys(expected.bars)
        .map((name) => `bar ${name}`)
        .sort(),
    );
    for (const [name, values] of Object.entries(expected.bars))
      expectClose(bars[`bar ${name}`]!, values, 1e-13, name);
  });
});

describe.each(Object.keys(cells))('%s', (cell) => {
  it('has the gradient where the limit is not reached, and another one where it is', () => {
    const [plain, loose, tight] = [0, 1e6, 1e-3].map((limit) => bptt(cell, limit, 2)) as [
      Program,
      Program,
      Program,
    ];
    const inputs = randomInputs(plain, 4) as Data;
    const [expected, same, other] = [plain, loose, tight].map((program) => interpret(program, inputs));
    expect(same).toEqual(expected);
    // A bias reaches nothing but accumulations: 1e-3 from each step and sample is the most it can gather.
    const biases = Object.entries(other!).filter(([name]) => /bias_ih|bar b_|theta/.test(name));
    for (const [, values] of biases)
      for (const value of values) expect(Math.abs(value)).toBeLessThanOrEqual(T * 2 * 1e-3 + 1e-12);
    expect(other).not.toEqual(expected);
  });

  it('costs no dispatches', () => {
    expect(totals(schedule(bptt(cell, 1, 2))).dispatches).toBe(totals(schedule(bptt(cell, 0, 2))).dispatches);
  });
});

test.each(Object.keys(backends))('%s clips as the oracle does', async (name) => {
  using backend = await backends[name]!();
  for (const cell of ['vanilla-lstm', 'gru']) {
    const program = bptt(cell, LIMIT, 3);
    const inputs = randomInputs(program, 6) as Data;
    const tensors = Object.fromEntries(
      [...program.inputs, ...program.outputs].map((port) => [port.name, backend.tensor(port.value.type)]),
    );
    for (const [key, values] of Object.entries(inputs)) tensors[key]!.write(values);
    using executable = await backend.compile(program);
    executable.run(tensors);
    for (const [key, values] of Object.entries(interpret(program, inputs)))
      expectClose(await tensors[key]!.read(), values, 2e-5, `${cell} ${key}`);
  }
});

test('a limit below 0 is refused', () => {
  expect(() => bptt('lstm', -1)).toThrow(expect.objectContaining({ code: 'OPTION' }));
});
