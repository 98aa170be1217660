/** The sizes that training steps are timed at. */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';

/**
 * One training step: forward, BPTT and Adam, over a one-hot input with the mean cross-entropy of every step.
 */
export interface Workload {
  readonly name: string;
  readonly batch: number;
  readonly unroll: number;
  readonly hidden: number;
  readonly layers: number;
  readonly vocabulary: number;
  /** Too much for a CPU, or for a GPU in software: minutes a step. */
  readonly gpuOnly: boolean;
}

/** Sizes that a caller may replace one by one. */
export type WorkloadSizes = Partial<Omit<Workload, 'name' | 'gpuOnly'>>;

const named = (name: string, sizes: readonly [number, number, number, number, number], gpuOnly = false) => {
  const [batch, unroll, hidden, layers, vocabulary] = sizes;
  return { name, batch, unroll, hidden, layers, vocabulary, gpuOnly };
};

/** T is for tests: its times mean nothing. */
export const WORKLOADS: readonly Workload[] = [
  named('T', [2, 4, 8, 1, 64]),
  named('S', [16, 32, 64, 1, 64]),
  named('M', [32, 64, 128, 1, 64]),
  named('L', [64, 64, 256, 2, 96]),
  named('XL', [128, 128, 1024, 2, 96], true),
];

/** Of higher rates, some engines' weights run into denormal numbers, which change their times. */
export const LEARNING_RATE = 0.001;

const BOUNDS: Readonly<Record<keyof WorkloadSizes, number>> = {
  batch: 2 ** 16,
  unroll: 2 ** 16,
  hidden: 2 ** 16,
  layers: 64,
  vocabulary: 2 ** 20,
};

/**
 * The workload of a name, with other sizes where they are given.
 * @throws KronogradError OPTION for an unknown name or a size out of range.
 */
export function resolveWorkload(name: string, sizes: WorkloadSizes = {}): Workload {
  const found = WORKLOADS.find((each) => each.name === name);
  if (found === undefined)
    throw new KronogradError('OPTION', `there is no workload '${name}'`, {
      where: '--workload',
      fix: `use one of ${WORKLOADS.map((each) => each.name).join(', ')}, or --batch, --unroll, --hidden, --layers and --vocab for sizes of your own`,
    });
  const changed = Object.entries(sizes).filter(([, value]) => value !== undefined);
  for (const [key, value] of changed)
    requireInteger(value, `--${key === 'vocabulary' ? 'vocab' : key}`, {
      min: 1,
      max: BOUNDS[key as keyof WorkloadSizes],
    });
  if (changed.length === 0) return found;
  return { ...found, ...Object.fromEntries(changed), name: `${name}*` };
}

export const tokensOf = ({ batch, unroll }: Workload): number => batch * unroll;

/** "r=32 T=64 H=128 V=64, 1 layer" */
export const describeWorkload = ({ batch, unroll, hidden, vocabulary, layers }: Workload): string =>
  `r=${batch} T=${unroll} H=${hidden} V=${vocabulary}, ${layers} layer${layers === 1 ? '' : 's'}`;
