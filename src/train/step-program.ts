/** The programs of a model: one training step, the loss of a batch, the next character. */
import { batchInputs, stateInputs } from '../model/batch-inputs.js';
import type { LanguageModel } from '../model/language-model.js';
import type { Model } from '../model/model.js';
import { clipByGlobalNorm, clipByValue, type Optimizer } from '../optim/optimizer.js';
import { gradient } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, int, type Program, type Value } from '../program/program.js';

export interface StepOptions {
  readonly batch: number;
  readonly unroll: number;
  readonly optimizer: Optimizer;
  /** Largest norm of the gradient; 0: no clipping. */
  readonly clip: number;
  /** Largest element of the gradient, after that; 0 or absent: no clipping. */
  readonly clipValue?: number;
  /** Whether elements have learning rates and weight decays of their own; false unless given. */
  readonly grouped?: boolean;
  readonly dropout: number;
  /** Losses and norms are kept for this many steps before they are written over. */
  readonly ringLength: number;
}

/** Names of the scalars that change from step to step, in the order of the input `scalars`. */
export const scalarNames = (optimizer: Optimizer): string[] => [
  'slot',
  ...Object.keys(optimizer.scalars(1, 1)),
];

/**
 * One step of truncated BPTT: forward, backward, clipping and the optimizer's update, in one program.
 * Inputs: theta, the optimizer's slots, the state, the parts of the batch, the scalars, the rings
 * `losses` and `norms`, with dropout or zoneout the generator's `key`, and
 * where `grouped` the `groups` [2, size], the learning-rate factor and the weight decay of each element. Outputs update
 * theta, slots, state and rings.
 */
export function trainingStep(model: Model, options: StepOptions): Program {
  const { batch, unroll, optimizer, clip, clipValue = 0, dropout, ringLength } = options;
  const on = new Builder();
  const { size } = model.parameters;
  const theta = on.input('theta', float(size));
  const slots = Object.fromEntries(
    optimizer.slots.map((name) => [name, on.input(`optimizer.${name}`, float(size))]),
  );
  const names = scalarNames(optimizer);
  const packed = on.input('scalars', float(names.length));
  const scalars = Object.fromEntries(
    names.map((name, i) => [name, on.reshape(on.slice(packed, 0, i, 1), [])]),
  );
  const inputs = batchInputs(on, model, { steps: unroll, samples: batch });
  const key = dropout > 0 || model.isRandom ? on.input('key', int(2)) : undefined;

  const forward = model.forward(on, {
    theta,
    ...inputs,
    dropout: key && dropout > 0 ? { rate: dropout, key } : undefined,
    key,
  });
  const { loss } = forward;
  const [raw] = gradient(on, loss, [theta]) as [Value];
  const clipped = clipByGlobalNorm(on, raw, clip);
  const row = (of: Value, i: number) => on.reshape(on.slice(of, 0, i, 1), [size]);
  const groups = options.grouped ? on.input('groups', float(2, size)) : undefined;
  const updated = optimizer.update(on, {
    theta,
    gradient: clipByValue(on, clipped.gradient, clipValue),
    slots,
    scalars: groups ? { ...scalars, stepSize: on.mul(row(groups, 0), scalars.stepSize!) } : scalars,
    weightDecays: groups && row(groups, 1),
  });

  const ring = (name: string, value: Value) => {
    const before = on.input(name, float(ringLength));
    const here = on.call('equal', on.iota([ringLength], 0), scalars.slot!);
    return { value: on.call('select', here, value, before), updates: name };
  };
  return on.build({
    theta: { value: updated.theta, updates: 'theta' },
    ...Object.fromEntries(
      Object.entries(updated.slots).map(([name, value]) => [
        `optimizer.${name}`,
        { value, updates: `optimizer.${name}` },
      ]),
    ),
    ...stateOutputs(forward.state),
    losses: ring('losses', loss),
    norms: ring('norms', clipped.norm),
  });
}

/** The mean loss of a batch, `loss` [1], with the state carried on. */
export function evaluation(model: Model, batch: number, unroll: number): Program {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const inputs = batchInputs(on, model, { steps: unroll, samples: batch });
  const { loss, state: after } = model.forward(on, { theta, ...inputs });
  return on.build({ loss: on.reshape(loss, [1]), ...stateOutputs(after) });
}

/** What a model of sequences puts out for a batch, `prediction`, of the shape of its targets and with all classes. */
export function predictions(model: Model, batch: number, steps: number): Program {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const { prediction } = model.forward(on, {
    theta,
    ...batchInputs(on, model, { steps, samples: batch }),
  });
  return on.build({ prediction });
}

/** Logits [length, vocabulary] after each of `length` characters [length, 1], with the state carried on. */
export function prediction(model: LanguageModel, length: number): Program {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const state = stateInputs(on, model, 1);
  const characters = on.input('characters', int(length, 1));
  const { logits, state: after } = model.logits(on, theta, characters, state);
  return on.build({ logits: on.reshape(logits, [length, model.config.vocabulary]), ...stateOutputs(after) });
}

const stateOutputs = (state: Readonly<Record<string, Value>>) =>
  Object.fromEntries(
    Object.entries(state).map(([name, value]) => [`state.${name}`, { value, updates: `state.${name}` }]),
  );
