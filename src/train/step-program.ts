/** The programs of a model: one training step, the loss of a batch, the next character. */
import { batchInputs, stateInputs } from '../model/batch-inputs.js';
import type { LanguageModel } from '../model/language-model.js';
import type { Model } from '../model/model.js';
import { clipByGlobalNorm, clipByValue, type Optimizer, type StepOf } from '../optim/optimizer.js';
import { adjoint } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { numbers } from '../program/functions.js';
import { float, int, type Program, type Value } from '../program/program.js';
import { mixedPrecision } from '../schedule/mixed-precision.js';
import { LossScaling, SCALING } from './loss-scaling.js';

/** All in float32, or products of halves, added up in float32. */
export const PRECISIONS = ['float32', 'mixed'] as const;

export type Precision = (typeof PRECISIONS)[number];

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
  /** In mixed precision the loss is scaled; 'float32' unless given. */
  readonly precision?: Precision;
}

/** What changes from step to step, in the order of the input `scalars`: `slot`, where a step is measured, comes first. */
type StepScalars = Readonly<Record<string, number>>;

function namedScalars(
  { optimizer, precision }: Pick<StepOptions, 'optimizer' | 'precision'>,
  at: StepOf<number>,
): StepScalars {
  // With steps that may be skipped, the program itself counts those that are not.
  return precision === 'mixed' ? { learningRate: at.learningRate } : optimizer.scalars(numbers, at);
}

/** The input `scalars` of the step with this number, counted from 1. */
export const stepScalars = (
  options: Pick<StepOptions, 'optimizer' | 'precision' | 'ringLength'>,
  at: StepOf<number>,
): number[] => [(at.step - 1) % options.ringLength, ...Object.values(namedScalars(options, at))];

/**
 * One step of truncated BPTT: forward, backward, clipping and the optimizer's update, in one program.
 * Inputs: theta, the optimizer's slots, the state, the parts of the batch, the scalars, the rings
 * `losses` and `norms`, with dropout or zoneout the generator's `key`, and
 * where `grouped` the `groups` [2, size], the learning-rate factor and the weight decay of each element. In mixed
 * precision also the state of loss scaling and the rings `scales` and `skips`, of steps skipped so far: a gradient that
 * is not finite leaves theta and slots as they are. Outputs update theta, slots, state, rings and loss scaling.
 */
export function trainingStep(model: Model, options: StepOptions): Program {
  const program = plainStep(model, options);
  return options.precision === 'mixed' ? mixedPrecision(program) : program;
}

/** With all its arithmetic in float32. */
function plainStep(model: Model, options: StepOptions): Program {
  const { batch, unroll, optimizer, clip, clipValue = 0, dropout, ringLength } = options;
  const on = new Builder();
  const { size } = model.parameters;
  const theta = on.input('theta', float(size));
  const slots = Object.fromEntries(
    optimizer.slots.map((name) => [name, on.input(`optimizer.${name}`, float(size))]),
  );
  const names = ['slot', ...Object.keys(namedScalars(options, { step: 1, learningRate: 1 }))];
  const packed = on.input('scalars', float(names.length));
  const given = Object.fromEntries(names.map((name, i) => [name, on.reshape(on.slice(packed, 0, i, 1), [])]));
  const scaling = options.precision === 'mixed' ? new LossScaling(on) : null;
  const scalars = scaling
    ? optimizer.scalars(on, { step: scaling.update, learningRate: given.learningRate! })
    : given;
  const inputs = batchInputs(on, model, { steps: unroll, samples: batch });
  const key = dropout > 0 || model.isRandom ? on.input('key', int(2)) : undefined;

  const forward = model.forward(on, {
    theta,
    ...inputs,
    dropout: key && dropout > 0 ? { rate: dropout, key } : undefined,
    key,
  });
  const { loss } = forward;
  const seed = { value: loss, adjoint: scaling?.scale ?? on.constant(1) };
  const [scaled] = adjoint(on, [seed], [theta]) as [Value];
  const clipped = clipByGlobalNorm(on, scaled, clip, scaling?.scale);
  const isUsable = scaling?.isUsable(clipped.norm);
  const unlessSkipped = (value: Value, otherwise: Value) =>
    isUsable ? on.call('select', isUsable, value, otherwise) : value;
  const row = (of: Value, i: number) => on.reshape(on.slice(of, 0, i, 1), [size]);
  const groups = options.grouped ? on.input('groups', float(2, size)) : undefined;
  const updated = optimizer.update(on, {
    theta,
    // No arithmetic on what is not finite; and no update is made before its norm is known, to be thrown away.
    gradient: unlessSkipped(clipByValue(on, clipped.gradient, clipValue), on.constant(0)),
    slots,
    scalars: groups ? { ...scalars, stepSize: on.mul(row(groups, 0), scalars.stepSize!) } : scalars,
    weightDecays: groups && row(groups, 1),
  });

  const ring = (name: string, value: Value) => {
    const before = on.input(name, float(ringLength));
    const here = on.call('equal', on.iota([ringLength], 0), given.slot!);
    return { value: on.call('select', here, value, before), updates: name };
  };
  return on.build({
    theta: { value: unlessSkipped(updated.theta, theta), updates: 'theta' },
    ...Object.fromEntries(
      Object.entries(updated.slots).map(([name, value]) => [
        `optimizer.${name}`,
        { value: unlessSkipped(value, slots[name]!), updates: `optimizer.${name}` },
      ]),
    ),
    ...stateOutputs(forward.state),
    losses: ring('losses', loss),
    norms: ring('norms', clipped.norm),
    ...(scaling &&
      isUsable && {
        scales: ring('scales', scaling.scale),
        skips: ring('skips', scaling.skipped(isUsable)),
        [SCALING]: { value: scaling.next(isUsable), updates: SCALING },
      }),
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
