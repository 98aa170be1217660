import { describe, expect, it } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { EngineContender } from '../../src/bench/engine.js';
import { timingOf } from '../../src/bench/measure.js';
import { NaiveLstm } from '../../src/bench/naive-lstm.js';
import { naiveProduct } from '../../src/bench/naive-product.js';
import { referenceBatch, referenceWeights } from '../../src/bench/reference.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload, type Workload } from '../../src/bench/workload.js';
import { bench } from '../../src/cli/bench.js';
import { runCommandLine } from '../../src/cli/program.js';
import { Collected } from '../cli/collect.js';
import { expectClose } from '../support/numbers.js';

async function run(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const exitCode = await runCommandLine(['bench', ...args], [bench], { stdout, stderr });
  return { exitCode, out: stdout, err: stderr.text };
}

const tiny = ['--workload', 'T', '--seconds', '0.05', '--check-steps', '5'];

/** What a reader of the JSON may rely on. */
const FIELDS = [
  'median_ms',
  'min_ms',
  'spread',
  'tokens_per_s',
  'dispatches_per_step',
  'submits_per_step',
  'gflops',
  'gbytes_per_s',
  'arena_bytes',
  'peak_rss_bytes',
  'first_step_ms',
];

describe('the reference', () => {
  it('has the weights and the batch that other languages make of the same few lines', () => {
    const workload = resolveWorkload('T');
    const { layers, head } = referenceWeights(workload);
    const first = [0.07329497812315822, 0.7034119898453355, 0.9028560190927237];
    expectClose(
      layers[0]!.input.slice(0, 3),
      first.map((x) => (2 * x - 1) / Math.sqrt(8)),
      1e-7,
    );
    expect([layers[0]!.input.length, layers[0]!.recurrent.length, head.length]).toEqual([2048, 256, 512]);
    const { characters, targets } = referenceBatch(workload);
    expect([...characters]).toEqual([21, 21, 9, 9, 6, 6, 0, 0]);
    expect([...targets.slice(0, 6)]).toEqual([...characters.slice(2)]);
  });
});

describe('the naive loop', () => {
  it.each<[string, Workload]>([
    ['one layer', resolveWorkload('T')],
    [
      'three layers, odd sizes',
      resolveWorkload('T', { batch: 3, unroll: 5, hidden: 7, layers: 3, vocabulary: 29 }),
    ],
  ])('has the losses of the engine: %s', async (_, workload) => {
    using backend = new Float32Backend();
    const work = trainingWork('lstm', workload);
    using engine = await EngineContender.create(backend, work, { at: 0, from: 'compile start' });
    const naive = new NaiveLstm(workload, referenceWeights(workload), referenceBatch(workload));
    const expected: number[] = [];
    const actual: number[] = [];
    for (let step = 0; step < 5; step++) {
      if (step > 0) await engine.run(1);
      expected.push((await engine.loss())!);
      actual.push(naive.step());
    }
    expect(expected[4]).toBeLessThan(expected[0]!);
    expectClose(actual, expected, 1e-6, 'losses of 5 steps');
  });

  it('multiplies matrices', () => {
    const a = Float32Array.of(1, 2, 3, 4, 5, 6);
    const b = Float32Array.of(1, 0, 2, 1, 0, 3);
    const c = new Float32Array(4);
    naiveProduct(a, b, c, { rows: 2, columns: 2, depth: 3, transA: false });
    expect([...c]).toEqual([5, 11, 14, 23]);
    naiveProduct(a, b, c, { rows: 2, columns: 2, depth: 3, transA: true });
    expect([...c]).toEqual([7, 18, 10, 22]);
  });
});

describe('kronograd bench', () => {
  it.each(['cpu', 'webgpu'])('prints a JSON object for each contender: %s', async (backend) => {
    const { exitCode, out, err } = await run('--json', '--backend', backend, '--threads', '1', ...tiny);
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    const records = out.lines.map((line) => JSON.parse(line));
    expect(records.map(({ name, engine }) => engine ?? name)).toEqual(['peaks', 'kronograd', 'naive loop']);
    const [peaks, ours, naive] = records;
    expect(peaks.gflops).toBeGreaterThan(0);
    expect(peaks.gbytesPerSecond).toBeGreaterThan(0);
    expect(ours).toMatchObject({ name: 'lstm', workload: 'T', backend, adapter: expect.any(String) });
    const features = { toggles: ['disable_workgroup_init'], halves: expect.any(Boolean) };
    for (const { features: found } of [peaks, ours])
      expect(found).toEqual(backend === 'cpu' ? null : expect.objectContaining(features));
    expect(naive.features).toBeNull();
    for (const field of FIELDS) expect(ours[field], field).toSatisfy(Number.isFinite);
    expect(ours.dispatches_per_step).toBeGreaterThan(0);
    expect(ours.submits_per_step).toBe(backend === 'webgpu' ? 1 : 0);
    expect(ours).toMatchObject({ times_cpu: backend === 'cpu' ? 1 : null, failure: null });
    if (backend === 'cpu') expect(ours.kernels).toBeNull();
    else {
      const sum = (key: string) => ours.kernels.reduce((total: number, each: never) => total + each[key], 0);
      expect(sum('dispatches')).toBe(ours.dispatches_per_step);
      expect(sum('ms')).toBeGreaterThan(0);
    }
    for (const each of [ours, naive]) {
      expect(each.median_ms).toBeGreaterThan(0);
      expect(each.loss_steps).toBe(5);
      expect(each.loss_error).toBeLessThan(1e-6);
      expect(each.times_naive).toBeGreaterThan(0);
    }
  });

  it('times a training step in mixed precision beside float32', async () => {
    const only = ['--precision', 'mixed', '--backend', 'cpu', '--threads', '1', '--no-naive'];
    const { exitCode, out, err } = await run('gru', '--json', ...only, ...tiny, '--check-steps', '50');
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    const [plain, mixed, ...others] = out.lines.map((line) => JSON.parse(line)).slice(1);
    expect(others).toEqual([]);
    expect(plain).toMatchObject({ name: 'gru', engine: 'kronograd', precision: 'float32', loss_error: 0 });
    expect(mixed).toMatchObject({ name: 'gru', engine: 'kronograd', precision: 'mixed', loss_steps: 50 });
    expect(mixed.loss_error).toBeGreaterThan(0);
    expect(mixed.loss_error).toBeLessThan(1e-4);
    expect(mixed.dispatches_per_step).toBeGreaterThan(plain.dispatches_per_step);
    const table = await run('gru', ...only, ...tiny);
    expect(table.out.text).toMatch(/\| kronograd, mixed +\| +cpu/);
  });

  it('times a product of halves beside that of floats, with as many bytes as they have', async () => {
    const only = ['--precision', 'mixed', '--backend', 'webgpu', '--no-naive'];
    const { exitCode, out } = await run('rank-rt', '--json', ...only, ...tiny);
    expect(exitCode).toBe(0);
    const [plain, mixed, ...others] = out.lines.map((line) => JSON.parse(line)).slice(1);
    expect(others).toEqual([]);
    const bytes = (each: typeof plain) => each.gbytes_per_s * each.median_ms * 1e6;
    const { rows, columns, depth } = plain.sizes;
    const operands = 4 * depth * (rows + columns);
    expect(bytes(plain)).toBeCloseTo(operands + 4 * rows * columns, 6);
    const saved = mixed.features.halves ? operands / 2 : 0;
    expect(mixed).toMatchObject({ name: 'rank-rt', engine: 'kronograd', precision: 'mixed' });
    expect(bytes(mixed)).toBeCloseTo(bytes(plain) - saved, 6);
  });

  it.each(['hvp', 'tune', 'probes'])('has no mixed precision of %s', async (what) => {
    const { exitCode, err } = await run(what, '--precision', 'mixed', '--backend', 'cpu', ...tiny);
    expect(exitCode).not.toBe(0);
    expect(err).toContain(`${what} has no mixed precision`);
  });

  it('prints a table for people, with sizes of one’s own', async () => {
    const { exitCode, out } = await run(
      '--backend',
      'cpu',
      '--threads',
      '2',
      '--batch',
      '3',
      '--layers',
      '2',
      ...tiny,
    );
    expect(exitCode).toBe(0);
    expect(out.text).toContain('lstm T*: r=3 T=4 H=8 V=64, 2 layers');
    expect(out.text).toMatch(/\| kronograd +\| cpu, 2 threads \|/);
    expect(out.text).toMatch(/\| naive loop +\|/);
  });

  it('measures what a dispatch, a pass, a submit and a readback cost, and says how the adapter is used', async () => {
    const { exitCode, out, err } = await run('probes', '--json', '--unsafe-fast');
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    const [probes] = out.lines.map((line) => JSON.parse(line));
    expect(probes).toMatchObject({
      name: 'probes',
      backend: 'webgpu',
      adapter: expect.stringMatching(/, unsafe-fast$/),
      features: { toggles: expect.arrayContaining(['skip_validation']) },
    });
    for (const cost of ['dispatch_us', 'pass_us', 'submit_us', 'readback_us'])
      expect(probes[cost], cost).toBeGreaterThanOrEqual(0);
    expect(probes.readback_us).toBeGreaterThan(0);
  });

  it.each(['gru', 'rank-rt'])('times %s', async (what) => {
    const { exitCode, out } = await run(what, '--json', '--backend', 'cpu', '--threads', '1', ...tiny);
    expect(exitCode).toBe(0);
    const [, ours] = out.lines.map((line) => JSON.parse(line));
    expect(ours).toMatchObject({ name: what, workload: 'T' });
    expect(ours.gflops).toBeGreaterThan(0);
  });

  it.each(['lstm', 'fnn'])('compares Hessian-vector products with the gradient: %s', async (cell) => {
    const only = ['--cell', cell, '--k', '3', '--json', '--backend', 'cpu', '--threads', '1'];
    const { exitCode, out, err } = await run('hvp', ...only, ...tiny);
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    const [result] = out.lines.map((line) => JSON.parse(line));
    expect(result).toMatchObject({ name: 'hvp', cell, workload: 'T', backend: 'cpu', vectors: 3 });
    const { median_ms, gradient_median_ms, many_median_ms } = result;
    expect(result.ratio).toBe(median_ms / gradient_median_ms);
    expect(result.many_ratio).toBe(many_median_ms / median_ms);
    // The product runs the gradient's passes and more, three of them less than three times as much.
    expect(result.dispatches).toBeGreaterThan(result.gradient_dispatches);
    expect(result.flops_ratio).toBeGreaterThan(1.5);
    expect(result.many_flops_ratio).toBeGreaterThan(1.5);
    expect(result.many_flops_ratio).toBeLessThan(3);
  });

  it('examines eigenpairs in float64', async () => {
    const { exitCode, out, err } = await run(
      'lanczos',
      '--json',
      '--backend',
      'cpu',
      '--threads',
      '1',
      ...tiny,
    );
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    const [ours, ...others] = out.lines.map((line) => JSON.parse(line));
    expect(others).toEqual([]);
    expect(ours).toMatchObject({ name: 'lanczos', cell: 'lstm', workload: 'T', backend: 'cpu' });
    expect(ours.relative_error).toBeLessThan(1e-6);
    expect(ours.residual).toBeLessThan(1e-4);
    expect(ours.largest).toHaveLength(5);
  });

  it.each(['cpu', 'webgpu'])('profiles the stages on %s', async (backend) => {
    const { exitCode, out } = await run(
      '--profile',
      '--json',
      '--backend',
      backend,
      '--threads',
      '1',
      ...tiny,
    );
    expect(exitCode).toBe(0);
    const stages = out.lines.map((line) => JSON.parse(line));
    expect(stages.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(stages.reduce((sum, { dispatches }) => sum + dispatches, 0)).toBeGreaterThan(10);
  });

  it.each<[string, string[], string]>([
    ['an unknown benchmark', ['lstmm'], "OPTION: there is no benchmark 'lstmm'"],
    ['products of an unknown cell', ['hvp', '--cell', 'lstm,x'], 'OPTION: --cell cannot be "x"'],
    ['probes of a CPU', ['probes', '--backend', 'cpu'], 'OPTION: the probes are of a GPU'],
    ['an unknown workload', ['--workload', 'S,Q'], "OPTION: there is no workload 'Q'"],
    ['an unknown backend', ['--backend', 'metal'], 'OPTION: --backend cannot be "metal"'],
    ['a size of zero', ['--batch', '0'], 'OPTION: --batch cannot be 0'],
    ['a size beyond reason', ['--hidden', '1000000000'], 'OPTION: --hidden cannot be 1000000000'],
    ['a size that is no number', ['--unroll', 'NaN'], 'OPTION: --unroll cannot be "NaN"'],
    ['no time', ['--seconds', '0'], 'OPTION: --seconds cannot be 0'],
    [
      'what is for a GPU, on the CPU',
      ['--workload', 'XL', '--backend', 'cpu'],
      'OPTION: lstm XL is for a real GPU',
    ],
  ])('refuses %s', async (_, args, expected) => {
    const { exitCode, err } = await run(...args);
    expect(exitCode).toBe(2);
    expect(err).toContain(expected);
    expect(err).toMatch(/where: .*\n {2}fix: /);
  });

  it.each(['cpu', 'webgpu'])('refuses what does not fit, with the numbers: %s', async (backend) => {
    const sizes = ['--workload', 'L', '--batch', '60000', '--hidden', '1024'];
    const { exitCode, err } = await run('--backend', backend, '--threads', '1', ...sizes);
    expect(exitCode).toBe(2);
    expect(err).toMatch(/MEMORY: lstm L\* does not fit: .* \d{10,} bytes; .* \d{9,}/);
    expect(err).toMatch(/about --batch \d+ fits/);
  });
});

describe('timings', () => {
  it('are medians with their absolute deviation', () => {
    expect(timingOf([5, 1, 2, 3, 100], 50)).toEqual({
      medianMs: 3,
      minMs: 1,
      madMs: 2,
      blocks: 5,
      steps: 50,
    });
    expect(timingOf([1, 2], 2).medianMs).toBe(1.5);
  });
});
