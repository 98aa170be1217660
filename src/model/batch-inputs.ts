/** The inputs of a program that runs a model on one batch, and the numbers that go there. */
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { float, sizeOf, type Value } from '../program/program.js';
import type { Model, ModelInputs } from './model.js';

export interface BatchSizes {
  /** T */
  readonly steps: number;
  /** r */
  readonly samples: number;
}

/** Inputs for the parts of a batch, by their names, and for the state before it, `state.<name>`. */
export const batchInputs = (
  on: Builder,
  model: Model,
  { steps, samples }: BatchSizes,
): Pick<ModelInputs, 'batch' | 'state'> => ({
  batch: Object.fromEntries(
    Object.entries(model.batchTypes(steps, samples)).map(([name, type]) => [name, on.input(name, type)]),
  ),
  state: stateInputs(on, model, samples),
});

/** Inputs `state.<name>` for the state of r samples. */
export const stateInputs = (on: Builder, model: Model, r: number): Record<string, Value> =>
  Object.fromEntries(
    Object.entries(model.stateShapes(r)).map(([name, shape]) => [
      name,
      on.input(`state.${name}`, float(...shape)),
    ]),
  );

/** `of` is what the error calls the batch. @throws KronogradError SHAPE for parts that are missing or of other sizes */
export function requireParts(
  model: Model,
  parts: Readonly<Record<string, ArrayLike<number>>>,
  { steps, samples }: BatchSizes,
  { of, where }: { readonly of: string; readonly where: string },
): void {
  for (const [name, { shape }] of Object.entries(model.batchTypes(steps, samples)))
    if (parts[name]?.length !== sizeOf(shape))
      throw new KronogradError(
        'SHAPE',
        `'${name}' of ${of} has ${parts[name]?.length ?? 'no'} elements and should have [${shape}]`,
        { where, fix: 'give the parts as Model.batchTypes(steps, samples) has them' },
      );
}
