/** The papers' systems by the fixtures' names. */
import { attentionRnn } from '../cells/attention-rnn.js';
import { augmentedLstm } from '../cells/augmented-lstm.js';
import { canonicalRnn } from '../cells/canonical-rnn.js';
import type { Cell } from '../cells/cell.js';
import type { ActivationName } from '../cells/equations.js';
import { naumovRnn } from '../cells/naumov-rnn.js';
import { palRnn } from '../cells/pal-rnn.js';
import { reluRnn } from '../cells/relu-rnn.js';
import { standardRnn } from '../cells/standard-rnn.js';
import { vanillaLstm } from '../cells/vanilla-lstm.js';
import { attendToPast } from '../model/attention.js';
import { feedForward, splitBias } from '../model/feedforward.js';
import { type LayerResult, recurrentLayer } from '../model/recurrent.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import type { FixtureCase } from './fixture.js';
import { headNamed } from './heads.js';
import type { Network, System, SystemInputs } from './system.js';
import { torchRnn } from './torch-rnn.js';

const always = () => null;

/** W x + b at every step. */
const readout = (on: Builder, x: Value, weight: Value, bias: Value): Value =>
  on.add(on.linear(x, weight), bias);

/** One layer of a cell whose parameters and initial states have the paper's own names. */
function layer(
  on: Builder,
  cell: Cell,
  { params, data }: SystemInputs,
  observe: readonly string[],
): LayerResult {
  const names = Object.keys(data).filter((name) => name.endsWith('0'));
  const own = ['W_y', 'b_y', 'W_O', 'b_O', 'V', 'c'];
  const outside = cell.name === 'relu-rnn' ? ['W'] : own;
  return recurrentLayer(on, cell, {
    x: data.X!,
    mask: data.mask,
    state: Object.fromEntries(names.map((name) => [name.slice(0, -1), data[name]!])),
    parameters: Object.fromEntries(Object.entries(params).filter(([name]) => !outside.includes(name))),
    observe,
  });
}

/** Whether a case wants a quantity observed: those that it holds values of. */
const observedIn = ({ rest }: FixtureCase, ...names: string[]): string[] =>
  names.filter((name) => Object.hasOwn((rest.activations ?? {}) as object, name));

const finals = (names: readonly string[]) => Object.fromEntries(names.map((n) => [`${n}0`, n]));

/** A Sherstinsky system: a cell, and a readout W_y, b_y where the case has one. */
function withReadout(
  on: Builder,
  given: FixtureCase,
  inputs: SystemInputs,
  cell: Cell,
  names: readonly string[],
): Network & { layer: LayerResult } {
  const result = layer(on, cell, inputs, observedIn(given, ...names));
  const { params, data } = inputs;
  const y = params.W_y ? readout(on, result.output, params.W_y, params.b_y!) : null;
  const output = y ?? result.output;
  return {
    layer: result,
    output,
    loss: headNamed(given.config.head)(on, output, data.target!, data.w!),
    activations: { ...result.observed, ...(y ? { y } : {}) },
    finalState: result.state,
    carried: finals(Object.keys(result.state)),
  };
}

const fnn: System = {
  unsupported: always,
  build(on, { config }, { params, data }) {
    const activations = config.activations as readonly ActivationName[];
    const layers = feedForward(
      on,
      data.X!,
      activations.map((activation, k) => ({
        weight: params[`W${k + 1}`]!,
        bias: params[`b${k + 1}`]!,
        activation,
      })),
    );
    const output = layers[layers.length - 1]!.z;
    return {
      output,
      loss: headNamed(config.head)(on, output, data.target!, data.w!),
      activations: Object.fromEntries(
        layers.flatMap(({ y, z }, k) => [
          [`y${k + 1}`, y],
          [`z${k + 1}`, z],
        ]),
      ),
      finalState: {},
      carried: {},
    };
  },
};

const tanhMlp: System = {
  unsupported: always,
  build(on, { config }, { params, data }) {
    const [hidden, out] = feedForward(on, data.X!, [
      { ...splitBias(on, params.V!), activation: 'tanh' },
      { ...splitBias(on, params.W!), activation: 'identity' },
    ]);
    const logits = out!.z;
    return {
      output: logits,
      loss: headNamed(config.head)(on, logits, data.target!, data.w!),
      activations: { a: hidden!.y, h: hidden!.z, logits, z: on.call('sigmoid', logits) },
      finalState: {},
      carried: {},
    };
  },
};

const rnn: System = {
  unsupported: always,
  build(on, { config }, { params, data }) {
    const activations: Record<string, Value> = {};
    const finalState: Record<string, Value> = {};
    const carried: Record<string, string> = {};
    let x = data.X!;
    (config.activations as readonly ActivationName[]).forEach((f, index) => {
      const k = index + 1;
      const result = recurrentLayer(on, naumovRnn(f), {
        x,
        mask: data.mask,
        state: { z: data[`z0_${k}`]! },
        parameters: { W: params[`W${k}`]!, U: params[`U${k}`]!, b: params[`b${k}`]! },
        observe: ['y', 'z'],
      });
      activations[`y${k}`] = result.observed.y!;
      activations[`z${k}`] = result.observed.z!;
      finalState[`z${k}`] = result.state.z!;
      carried[`z0_${k}`] = `z${k}`;
      x = result.output;
    });
    const o = params.V ? readout(on, x, params.V, params.c!) : null;
    const output = o ?? x;
    return {
      output,
      loss: headNamed(config.head)(on, output, data.target!, data.w!),
      activations: { ...activations, ...(o ? { o } : {}) },
      finalState,
      carried,
    };
  },
};

const shRnn: System = {
  unsupported: always,
  build(on, given, inputs) {
    const G = given.config.activation as ActivationName;
    const cell = given.config.canonical === true ? canonicalRnn(G) : standardRnn(G);
    const network = withReadout(on, given, inputs, cell, ['s', 'r']);
    const r = on.call(G as 'tanh', network.layer.state.s!);
    return { ...network, finalState: { ...network.finalState, r } };
  },
};

const GATES = ['a_cu', 'a_cs', 'a_cr', 'a_du', 'u', 'g_cu', 'g_cs', 'g_cr', 'r', 's', 'v'];

const vanilla: System = {
  unsupported: always,
  build: (on, given, inputs) => withReadout(on, given, inputs, vanillaLstm, GATES),
};

const augmented: System = {
  unsupported: always,
  build(on, given, inputs) {
    const cell = augmentedLstm({ window: Number(given.config.L) });
    return withReadout(on, given, inputs, cell, [...GATES, 'xi_du', 'a_cx', 'g_cx', 'q']);
  },
};

const pal: System = {
  unsupported: always,
  build(on, given, inputs) {
    const { config } = given;
    const cell = palRnn(config.activation as ActivationName, config.readout as 'pre' | 'post');
    const result = layer(on, cell, inputs, observedIn(given, 'h'));
    const { params, data } = inputs;
    const logits = readout(on, result.output, params.W_O!, params.b_O!);
    return {
      layer: result,
      output: logits,
      loss: headNamed(config.head)(on, logits, data.target!, data.w!),
      activations: { ...result.observed, logits, o: on.softmax(logits) },
      finalState: result.state,
      carried: finals(['h']),
    };
  },
};

const relu: System = {
  unsupported: always,
  build(on, given, inputs) {
    const result = layer(on, reluRnn, inputs, observedIn(given, 'A', 'h'));
    const { params, data } = inputs;
    const logits = on.linear(result.state.h!, params.W!);
    return {
      layer: result,
      output: logits,
      loss: headNamed(given.config.head)(on, logits, data.target!, data.w!),
      activations: { ...result.observed, logits, z: on.call('sigmoid', logits) },
      finalState: result.state,
      carried: finals(['h']),
    };
  },
};

const attention: System = {
  unsupported: always,
  build(on, given, inputs) {
    const result = layer(on, attentionRnn, inputs, ['a', 'h']);
    const { params, data } = inputs;
    const first = given.config.attend_h0 === true ? data.h0! : null;
    const { Z, alpha } = attendToPast(on, result.observed.h!, first);
    const Omega = readout(on, Z, params.V!, params.c!);
    return {
      layer: result,
      output: Omega,
      loss: headNamed(given.config.head)(on, Omega, data.target!, data.w!),
      activations: { ...result.observed, alpha, Z, Omega, yhat: on.softmax(Omega) },
      finalState: result.state,
      carried: finals(['h']),
    };
  },
};

export const systems: Readonly<Record<string, System>> = {
  fnn,
  tanh_mlp: tanhMlp,
  rnn,
  sh_rnn: shRnn,
  vanilla_lstm: vanilla,
  augmented_lstm: augmented,
  pal_rnn: pal,
  relu_rnn: relu,
  attention_rnn: attention,
  torch_rnn: torchRnn,
};
