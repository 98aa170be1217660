/**
 * Dynamic loss scaling (Micikevicius et al. 2018), as equations inside the training step: what is propagated back is
 * the gradient times a scale, so that small derivatives stay above the smallest half, 2^-24. A gradient that is not
 * finite then tells that the scale was too large: the step is skipped, and the scale halved. The constants are those of
 * PyTorch's GradScaler.
 */
import type { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';

const INITIAL_SCALE = 2 ** 16;
const GROWTH = 2;
const BACKOFF = 0.5;
/** Steps in a row with a finite gradient after which the scale grows. */
const GROWTH_INTERVAL = 2000;
/** Scales are powers of two, by which multiplying and dividing are exact, from here .. */
const SMALLEST_SCALE = 1;
/** .. to the largest whose reciprocal is a normal number of float32. */
const LARGEST_SCALE = 2 ** 126;
const LARGEST_FLOAT = 3.4028234663852886e38;

/** The state's name as an input of the training step. It counts as the optimizer's: checkpoints keep it. */
export const SCALING = 'optimizer.scaling';

/** The state before the first step: the scale, finite gradients in a row, updates made and steps skipped. */
export const INITIAL_SCALING = [INITIAL_SCALE, 0, 0, 0];

export class LossScaling {
  /** [] */
  readonly scale: Value;
  /** Updates made, this step's counted in: what optimizers take for the number of the step. */
  readonly update: Value;
  readonly #on: Builder;
  readonly #state: readonly Value[];

  constructor(on: Builder) {
    const packed = on.input(SCALING, float(INITIAL_SCALING.length));
    this.#on = on;
    this.#state = INITIAL_SCALING.map((_, i) => on.reshape(on.slice(packed, 0, i, 1), []));
    this.scale = this.#state[0]!;
    this.update = on.add(this.#state[2]!, on.constant(1));
  }

  /** Whether the gradient with this norm is to be used: 1 or 0. Beyond float32's range a norm counts as not finite. */
  isUsable(norm: Value): Value {
    return this.#on.call('greater', this.#on.constant(LARGEST_FLOAT), norm);
  }

  /** Steps skipped, this one counted in. */
  skipped(isUsable: Value): Value {
    const on = this.#on;
    return on.add(this.#state[3]!, on.sub(on.constant(1), isUsable));
  }

  /** The state behind this step. */
  next(isUsable: Value): Value {
    const on = this.#on;
    const [scale, streak, updates] = this.#state as [Value, Value, Value];
    const c = (value: number) => on.constant(value);
    const longer = on.add(streak, c(1));
    const isGrown = on.call('equal', longer, c(GROWTH_INTERVAL));
    const grown = on.call('min', c(LARGEST_SCALE), on.mul(scale, c(GROWTH)));
    const backedOff = on.call('max', c(SMALLEST_SCALE), on.mul(scale, c(BACKOFF)));
    const after = [
      on.call('select', isUsable, on.call('select', isGrown, grown, scale), backedOff),
      on.call('select', isUsable, on.call('select', isGrown, c(0), longer), c(0)),
      on.add(updates, isUsable),
      this.skipped(isUsable),
    ];
    return on.concat(
      after.map((v) => on.reshape(v, [1])),
      0,
    );
  }
}
