import type { Tensor } from '../../src/interop/safetensors.js';
import type { Checkpoint } from '../../src/train/checkpoint.js';

const f32 = (...values: number[]): Tensor => ({
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});

/** A small checkpoint with something in every field. */
export function sampleCheckpoint(step = 12): Checkpoint {
  return {
    weights: new Map([
      ['rnn.weight_ih_l0', f32(1, 2, step)],
      ['head.bias', f32(-1)],
    ]),
    optimizer: {
      name: 'adam',
      settings: { beta1: 0.9, beta2: 0.999 },
      step,
      tensors: new Map([
        ['m', f32(0.1, 0.2)],
        ['v', f32(0.3, 0.4)],
      ]),
    },
    state: new Map([['h.0', f32(0.5)]]),
    config: { cell: 'lstm', hidden: 3, layers: 1, lr: 0.002 },
    vocabulary: ['\n', 'a', '🐳'],
    generator: { seed: 1, stream: 0, counter: 99 },
    position: { step, epoch: 1, batch: step + 1 },
    history: [
      { step: 10, loss: 2.5 },
      { step: 12, loss: 2.25, validationLoss: 2.375 },
    ],
  };
}
