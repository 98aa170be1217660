/** What an adapter can do at best, as far as this engine's own kernels can tell. */

import { programTensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { Builder } from '../program/builder.js';
import { float, type Program, sizeOf } from '../program/program.js';
import { schedule } from '../schedule/index.js';
import { totals } from '../schedule/print.js';
import type { BenchBackend, OpenedBackend } from './backends.js';

export interface Peaks {
  /** The best rate of any of the products tried. */
  readonly gflops: number;
  /** The product that reached it. */
  readonly product: string;
  /** Bytes read and written by a scaled copy of an array too large for any cache. */
  readonly gbytesPerSecond: number;
}

const LAYOUTS = ['NN', 'NT', 'TN'] as const;
type Layout = (typeof LAYOUTS)[number];

/**
 * Which operands are transposed is tried on a small product, and the best of it on larger ones, as a GPU
 * wants.
 */
export async function measurePeaks({ backend, gpu }: OpenedBackend): Promise<Peaks> {
  const [small, ...larger] = gpu ? [1024, 2048, 4096] : [256, 512];
  let best = { rate: 0, n: 0, layout: LAYOUTS[0] as Layout };
  const attempt = async (n: number, layout: Layout) => {
    const program = product(n, layout);
    const rate = totals(schedule(program)).flops / (await bestSeconds(backend, program));
    if (rate > best.rate) best = { rate, n, layout };
  };
  for (const layout of LAYOUTS) await attempt(small!, layout);
  for (const n of larger) await attempt(n, best.layout);
  const copied = copy(gpu ? 2 ** 26 : 2 ** 24);
  const bytes = totals(schedule(copied)).bytes;
  return {
    gflops: best.rate / 1e9,
    product: `${best.n} ${best.layout}`,
    gbytesPerSecond: bytes / (await bestSeconds(backend, copied)) / 1e9,
  };
}

function product(n: number, layout: Layout): Program {
  const on = new Builder();
  const [a, b] = [on.input('a', float(n, n)), on.input('b', float(n, n))];
  return on.build({ c: on.gemm(a, b, { transA: layout[0] === 'T', transB: layout[1] === 'T' }) });
}

function copy(elements: number): Program {
  const on = new Builder();
  return on.build({ y: on.mul(on.input('x', float(elements)), on.constant(2)) });
}

/** Long enough that some of the samples meet a quiet moment. */
const SAMPLING_MS = 700;

/** Of a run, the least of some. */
async function bestSeconds(backend: BenchBackend, program: Program): Promise<number> {
  using scope = new Scope();
  const executable = scope.own(await backend.compile(program));
  const tensors = programTensors(backend, program, scope);
  for (const { name, value } of program.inputs)
    tensors[name]!.write(new Float32Array(sizeOf(value.type.shape)).fill(0.5));
  const seconds = async (runs: number) => {
    const begin = performance.now();
    for (let n = 0; n < runs; n++) executable.run(tensors);
    await backend.finish();
    return (performance.now() - begin) / 1000 / runs;
  };
  await seconds(1);
  // Blocks of some 50 ms hide the wait for the callback.
  const runs = Math.max(1, Math.min(1000, Math.round(0.05 / (await seconds(1)))));
  const samples: number[] = [];
  const end = performance.now() + SAMPLING_MS;
  while (samples.length < 3 || performance.now() < end) samples.push(await seconds(runs));
  return Math.min(...samples);
}
