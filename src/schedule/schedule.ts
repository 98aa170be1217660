/** The scheduler's result: stages in order, loops over time, and the buffers they touch. */
import { type BufferSpec, bytesEach, type Stage } from '../../kernels/stage.js';

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
  /** Buffer 0 is the arena, and 1 that of halves if there are any; the rest are the program's inputs and outputs by name. */
  readonly buffers: readonly BufferSpec[];
  readonly steps: readonly (LabelledStage | Loop)[];
}

/** Buffers of temporary memory, and those that are bound by name. */
export const divideBuffers = (
  buffers: readonly BufferSpec[],
): { readonly arenas: readonly BufferSpec[]; readonly named: readonly BufferSpec[] } => {
  const isArena = (buffer: BufferSpec) => buffer === buffers[0] || buffer.isArena === true;
  return { arenas: buffers.filter(isArena), named: buffers.filter((buffer) => !isArena(buffer)) };
};

/** Bytes of each buffer. @param halves whether halves have 2 bytes each, and not 4 */
export const bufferBytesOf = ({ buffers }: Pick<Schedule, 'buffers'>, halves: boolean): number[] =>
  buffers.map((spec) => bytesEach(spec, halves) * spec.length);

/** Bytes of the temporary memory. */
export const arenaBytesOf = ({ buffers }: Pick<Schedule, 'buffers'>, halves: boolean): number =>
  bufferBytesOf({ buffers: divideBuffers(buffers).arenas }, halves).reduce((sum, each) => sum + each, 0);
