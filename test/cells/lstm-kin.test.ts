/** The LSTM's kin: each is the LSTM where what sets it apart is taken away, and its paper's formula where it is not. */
import { describe, expect, it } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import type { Cell } from '../../src/cells/cell.js';
import { layerNormLstm } from '../../src/cells/layer-norm-lstm.js';
import { lstm } from '../../src/cells/lstm.js';
import { multiHeadLstm } from '../../src/cells/multi-head-lstm.js';
import { peepholeLstm } from '../../src/cells/peephole-lstm.js';
import { recurrentLayer, recurrentSpecs } from '../../src/model/recurrent.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program } from '../../src/program/program.js';
import { expectClose, randomInputs } from '../support/numbers.js';

const [T, r, n, m] = [6, 3, 2, 8];
const sizes = { input: n, hidden: m, projection: 0 };

/** Outputs [T, r, m] of a layer. */
function layer(cell: Cell, steps = T): Program {
  const on = new Builder();
  const parameters = Object.fromEntries(
    Object.entries(cell.parameters(sizes)).map(([name, shape]) => [name, on.input(name, float(...shape))]),
  );
  const state = Object.fromEntries(
    Object.keys(cell.state(sizes)).map((name) => [name, on.input(`${name}0`, float(r, m))]),
  );
  const x = on.input('x', float(steps, r, n));
  return on.build({ output: recurrentLayer(on, cell, { x, state, parameters }).output });
}

type Data = Record<string, Float64Array>;
const inputsOf = (program: Program, seed: number) => randomInputs(program, seed) as Data;
const outputOf = (program: Program, inputs: Data) => interpret(program, inputs).output!;
const expected = (inputs: Data) => outputOf(layer(lstm), inputs);
const zeros = (size: number) => new Float64Array(size);

describe('peephole-lstm', () => {
  const program = layer(peepholeLstm);

  it('without peepholes is the LSTM', () => {
    const inputs = inputsOf(program, 1);
    const blind = { ...inputs, p_i: zeros(m), p_f: zeros(m), p_o: zeros(m) };
    const plain = { ...inputs, bias_ih: inputs.bias!, bias_hh: zeros(4 * m) };
    expectClose(outputOf(program, blind), expected(plain), 1e-14);
  });

  it('sees c before the step in i and f, and the new c in o', () => {
    const inputs = inputsOf(layer(peepholeLstm, 1), 2);
    const { x, h0, c0, weight_ih, weight_hh, bias, p_i, p_f, p_o } = inputs as Record<string, Float64Array>;
    const sigmoid = (a: number) => 1 / (1 + Math.exp(-a));
    const h = Float64Array.from({ length: r * m }, (_, at) => {
      const [j, k] = [Math.floor(at / m), at % m];
      const [i, f, g, o] = [0, 1, 2, 3].map((gate) => {
        const row = gate * m + k;
        let a = bias![row]!;
        for (let l = 0; l < n; l++) a += weight_ih![row * n + l]! * x![j * n + l]!;
        for (let l = 0; l < m; l++) a += weight_hh![row * m + l]! * h0![j * m + l]!;
        return a;
      }) as [number, number, number, number];
      const before = c0![at]!;
      const c = sigmoid(f + p_f![k]! * before) * before + sigmoid(i + p_i![k]! * before) * Math.tanh(g);
      return sigmoid(o + p_o![k]! * c) * Math.tanh(c);
    });
    expectClose(outputOf(layer(peepholeLstm, 1), inputs), h, 1e-14);
  });
});

describe('multi-head-lstm', () => {
  it.each([1, 2, 4, 8])('of %i heads is the LSTM with as many blocks in weight_hh', (heads) => {
    const program = layer(multiHeadLstm({ heads }));
    const inputs = inputsOf(program, 3);
    const d = m / heads;
    const whole = zeros(4 * m * m);
    inputs.weight_hh!.forEach((w, at) => {
      const [head, row, column] = [Math.floor(at / (4 * d * d)), Math.floor(at / d) % (4 * d), at % d];
      const [gate, unit] = [Math.floor(row / d), row % d];
      whole[(gate * m + head * d + unit) * m + head * d + column] = w;
    });
    expectClose(outputOf(program, inputs), expected({ ...inputs, weight_hh: whole }), 1e-14);
  });

  it('refuses heads that do not divide the units, and what is no number of heads', () => {
    expect(() => multiHeadLstm({ heads: 3 }).parameters(sizes)).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'hidden', fix: 'give a multiple of 3' }),
    );
    for (const heads of [0, 1.5, -2, Number.NaN])
      expect(() => multiHeadLstm({ heads })).toThrow(
        expect.objectContaining({ code: 'OPTION', where: 'heads' }),
      );
  });
});

describe('layer-norm-lstm', () => {
  /** LN as the paper has it, eq. (4), of each row. */
  const normalise = (rows: Float64Array, width: number) =>
    rows.map((_, at) => {
      const row = rows.subarray(at - (at % width), at - (at % width) + width);
      const mean = row.reduce((sum, v) => sum + v, 0) / width;
      const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width;
      return (rows[at]! - mean) / Math.sqrt(variance + 1e-5);
    });
  const product = (z: Float64Array, weight: Float64Array, width: number) =>
    Float64Array.from({ length: (z.length / width) * (weight.length / width) }, (_, at) => {
      const outputs = weight.length / width;
      const [j, row] = [Math.floor(at / outputs), at % outputs];
      let sum = 0;
      for (let l = 0; l < width; l++) sum += z[j * width + l]! * weight[row * width + l]!;
      return sum;
    });

  it('begins with gains of 1 and biases of 0', () => {
    const specs = recurrentSpecs({ cell: layerNormLstm, input: n, hidden: m, layers: 2 });
    for (const { name, init } of specs)
      if (name.includes('weight')) expect(init.kind).toBe('uniform');
      else expect(init).toEqual({ kind: 'constant', scale: name.includes('gain') ? 1 : 0 });
  });

  it('is eq. 20-22', () => {
    const program = layer(layerNormLstm, 1);
    const p = inputsOf(program, 4);
    const [ofX, ofH] = [product(p.x!, p.weight_ih!, n), product(p.h0!, p.weight_hh!, m)].map((a) =>
      normalise(a, 4 * m),
    ) as [Float64Array, Float64Array];
    const a = ofX.map((v, at) => {
      const k = at % (4 * m);
      return p.gain_ih![k]! * v + p.bias_ih![k]! + p.gain_hh![k]! * ofH[at]! + p.bias_hh![k]!;
    });
    const gate = (at: number, k: number) => a[Math.floor(at / m) * 4 * m + k * m + (at % m)]!;
    const sigmoid = (v: number) => 1 / (1 + Math.exp(-v));
    const c = p.c0!.map((v, at) => sigmoid(gate(at, 1)) * v + sigmoid(gate(at, 0)) * Math.tanh(gate(at, 2)));
    const h = normalise(c, m).map(
      (v, at) => sigmoid(gate(at, 3)) * Math.tanh(p.gain_c![at % m]! * v + p.bias_c![at % m]!),
    );
    expectClose(outputOf(program, p), h, 1e-12);
  });

  it('is as accurate in float32 where means are large beside deviations', async () => {
    const program = layer(layerNormLstm);
    // Rows of weights that nearly agree, and a c far from zero: what is normalised is a small difference.
    const drawn = inputsOf(program, 5);
    const rounded = Object.fromEntries(
      Object.entries(drawn).map(([name, data]) => [
        name,
        data.map((v) => Math.fround(name.startsWith('weight') || name === 'c0' ? 30 + v : v)),
      ]),
    );
    rounded.bias_ih = rounded.bias_ih!.map((v, k) => (k >= m && k < 2 * m ? 6 : v)); // f near 1 keeps c there
    using backend = new Float32Backend();
    using executable = await backend.compile(program);
    const tensors = Object.fromEntries(
      program.inputs.map(({ name, value }) => [name, backend.tensor(value.type)]),
    );
    for (const [name, data] of Object.entries(rounded)) tensors[name]!.write(data);
    tensors.output = backend.tensor(program.outputs[0]!.value.type);
    executable.run(tensors);
    expectClose(await tensors.output.read(), outputOf(program, rounded), 1e-5);
  });
});
