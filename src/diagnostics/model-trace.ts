/** A model run on one batch, with what its recurrent layers saw and the errors that come back to them. */
import type { Backend, Numbers } from '../backend/backend.js';
import { runOnce } from '../backend/host-program.js';
import { KronogradError } from '../errors.js';
import { batchInputs, requireParts } from '../model/batch-inputs.js';
import type { Model, ModelOutputs } from '../model/model.js';
import type { StackedLayer } from '../model/recurrent.js';
import { adjoint } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, sizeOf, type Value } from '../program/program.js';
import { backwards, type LayerTrace, layerOutputs, readLayer } from './layer-trace.js';

export interface DiagnosisProblem {
  /** One that limits no derivatives (`clipAccumulations`): limited ones are no error signals. */
  readonly model: Model;
  /** [model.parameters.size] */
  readonly theta: ArrayLike<number>;
  readonly batch: DiagnosisBatch;
}

export interface DiagnosisBatch {
  /** The parts of the batch by the names of the model's inputs, as `Model.batchTypes(steps, samples)` has them. */
  readonly parts: Readonly<Record<string, ArrayLike<number>>>;
  /** T */
  readonly steps: number;
  /** r */
  readonly samples: number;
  /** The state before the batch; zeros where it is not given. */
  readonly state?: Readonly<Record<string, ArrayLike<number>>>;
}

export interface TracedLayer {
  readonly trace: LayerTrace;
  /** Derivatives by the layer's output, [T, r, features], in the order in which its steps run. */
  readonly byOutput: {
    /** Of the whole loss. */
    readonly loss: Numbers;
    /**
     * Of the part of the loss that the step has which the layer takes last: of each sequence the last one, for a reverse
     * layer the first.
     */
    readonly lastLoss: Numbers;
  };
}

/**
 * @throws KronogradError OPTION for a model without recurrent layers, SHAPE for parts that do not fit, DATA for a loss
 * or a state that is not finite and for a mask without a step, MEMORY
 */
export async function traceModel(
  backend: Backend,
  { model, theta, batch }: DiagnosisProblem,
): Promise<{ loss: number; layers: TracedLayer[] }> {
  const { steps, samples, parts, state = {} } = batch;
  requireParts(model, parts, batch, { of: 'the batch', where: 'diagnosis' });
  if (parts.mask && Array.from(parts.mask).every((taken) => taken === 0))
    throw new KronogradError('DATA', 'the mask holds the state at every step', {
      where: 'diagnosis',
      fix: 'give a batch with a step that is taken',
    });
  const on = new Builder();
  const { loss, prediction, layers } = model.forward(on, {
    theta: on.input('theta', float(model.parameters.size)),
    ...batchInputs(on, model, batch),
  });
  if (layers === undefined)
    throw new KronogradError('OPTION', 'the model has no recurrent layers', {
      where: 'diagnosis',
      fix: 'give a model whose errors flow back through time',
    });
  const { all, last } = errorsAt(on, layers, { loss, prediction });
  const wanted: Record<string, Value> = { loss: on.reshape(loss, [1]) };
  layers.forEach((layer, i) => {
    Object.assign(wanted, layerOutputs(layer, `${i}.`));
    wanted[`${i}.byLoss`] = all[i]!;
    wanted[`${i}.byLastLoss`] = last[i]!;
  });
  const numbers = await runOnce(backend, on.build(wanted), {
    ...parts,
    theta,
    ends: lastSteps(parts.mask, steps, samples),
    beginnings: Float32Array.from({ length: steps * samples }, (_, i) => (i < samples ? 1 : 0)),
    ...Object.fromEntries(
      Object.entries(model.stateShapes(samples)).map(([name, shape]) => [
        `state.${name}`,
        state[name] ?? new Float32Array(sizeOf(shape)),
      ]),
    ),
  });
  const traced = layers.map((layer, i): TracedLayer => {
    const trace = readLayer(layer, `${i}.`, numbers);
    const inOrder = (name: string) => {
      const data = numbers[`${i}.${name}`]!;
      return layer.direction === 1 ? data : backwards(data, [steps]);
    };
    return { trace, byOutput: { loss: inOrder('byLoss'), lastLoss: inOrder('byLastLoss') } };
  });
  const [value] = numbers.loss!;
  if (!Number.isFinite(value))
    throw new KronogradError('DATA', `the loss is ${value}`, {
      where: 'diagnosis',
      fix: 'diagnose a checkpoint from before the numbers left the finite',
    });
  return { loss: value!, layers: traced };
}

/**
 * Derivatives by each layer's output: of the loss, and of the step that it takes last, which the inputs `ends` and
 * `beginnings` [T, r] mark.
 */
function errorsAt(
  on: Builder,
  layers: readonly StackedLayer[],
  { loss, prediction }: Pick<ModelOutputs, 'loss' | 'prediction'>,
): { all: Value[]; last: Value[] } {
  const [byPrediction] = adjoint(on, [{ value: loss, adjoint: on.constant(1) }], [prediction]) as [Value];
  const outputs = layers.map(({ output }) => output);
  const from = (seed: Value) => adjoint(on, [{ value: prediction, adjoint: seed }], outputs);
  const all = from(byPrediction);
  const [steps, samples] = prediction.type.shape as [number, number];
  // A single prediction for each sequence is that of the last step, either way.
  if (prediction.type.shape.length < 3) return { all, last: all };
  const only = (name: string) => {
    const marks = on.reshape(on.input(name, float(steps, samples)), [steps, samples, 1]);
    return from(on.mul(byPrediction, marks));
  };
  const [ends, beginnings] = [only('ends'), only('beginnings')];
  return { all, last: layers.map(({ direction }, i) => (direction === 1 ? ends : beginnings)[i]!) };
}

/** 1 at the last step of each sequence of a mask [T, r]. */
function lastSteps(mask: ArrayLike<number> | undefined, steps: number, samples: number): Float32Array {
  return Float32Array.from({ length: steps * samples }, (_, i) => {
    const isLast = i + samples >= steps * samples || mask?.[i + samples] === 0;
    return isLast && mask?.[i] !== 0 ? 1 : 0;
  });
}
