/** The scheduler's result: stages in order, loops over time, and the buffers they touch. */
import type { BufferSpec, Stage } from '../../kernels/stage.js';

/** Stages run for t = first, first + direction, ... (count times), all of them at each t in order. */
export interface Loop {
  readonly kind: 'loop';
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  readonly stages: readonly LabelledStage[];
}

export interface LabelledStage {
  readonly kind: 'stage';
  /** What it computes, in the names of the program: for printing, profiles and error messages. */
  readonly label: string;
  readonly stage: Stage;
}

export interface Schedule {
  /** Buffer 0 is the arena; the rest are the program's inputs and outputs by name. */
  readonly buffers: readonly BufferSpec[];
  readonly steps: readonly (LabelledStage | Loop)[];
}
