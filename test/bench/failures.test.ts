/** What goes wrong in the middle of a benchmark is told, and what was measured before is kept. */
import { describe, expect, it } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { WebGpuTensor } from '../../src/backend/webgpu/tensor.js';
import type { BenchBackend } from '../../src/bench/backends.js';
import { requireFit } from '../../src/bench/fit.js';
import { naiveContender } from '../../src/bench/naive-contender.js';
import { type RunOptions, runWork } from '../../src/bench/run.js';
import { trainingWork } from '../../src/bench/training-work.js';
import type { Work } from '../../src/bench/work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { benchWith } from '../../src/cli/bench.js';
import { runCommandLine } from '../../src/cli/program.js';
import { KronogradError } from '../../src/errors.js';
import { schedule } from '../../src/schedule/index.js';
import { Collected } from '../cli/collect.js';

const OPTIONS: RunOptions = {
  seconds: 0.2,
  agreement: { steps: 3, milliseconds: 1000 },
  naive: true,
  peaks: async () => ({ gflops: 1, product: 'none', gbytesPerSecond: 1 }),
  fresh: false,
  kernels: true,
};

describe('a device that is lost in the middle', () => {
  // The first 3 steps are compared, the next ones timed, however slow they are.
  it.each([2, 5])('ends its own measurement, typed, and nobody else’s: at step %i', async (last) => {
    using gpu = await createDawnBackend();
    using cpu = new Float32Backend();
    const work = trainingWork('lstm', resolveWorkload('T'));
    let stepsOnGpu = 0;
    const losing: Work = {
      ...work,
      beforeStep(tensors, n) {
        if (tensors.theta instanceof WebGpuTensor && ++stepsOnGpu === last) gpu.device.gpu.destroy();
        work.beforeStep!(tensors, n);
      },
    };
    const opened = [gpu, cpu].map((backend: BenchBackend) => ({ backend, gpu: false }));
    const { results, failure } = await runWork(losing, opened, OPTIONS);
    expect(failure).toMatchObject({ code: 'DEVICE_LOST', fix: expect.stringContaining('CPU backend') });
    const whole = results.filter((result) => result.failure === null);
    expect(whole.map(({ engine, backend }) => `${engine} ${backend}`)).toEqual([
      'kronograd cpu',
      'naive loop js',
    ]);
    for (const { median_ms, blocks } of whole) {
      expect(median_ms).toBeGreaterThan(0);
      expect(blocks).toBeGreaterThanOrEqual(3);
    }
    // Of the lost one there is what it did in time, if anything.
    const rest = results.filter((result) => result.failure !== null);
    expect(rest.length).toBeLessThanOrEqual(1);
    for (const { backend, failure, kernels } of rest)
      expect({ backend, failure, kernels }).toEqual({
        backend: 'webgpu',
        failure: 'DEVICE_LOST',
        kernels: null,
      });
  });
});

describe('a contender that fails in the middle', () => {
  it('is told, with exit code 2, behind the results', async () => {
    let steps = 0;
    const failing = (work: Work) => {
      const honest = naiveContender(work.naive!);
      const run = async (count: number) => {
        steps += count;
        if (steps > 10) throw new KronogradError('OPTION', 'the peer broke failed: no more');
        return honest.run(count);
      };
      return Promise.resolve([{ ...honest, engine: 'broken', run }]);
    };
    const [stdout, stderr] = [new Collected(), new Collected()];
    const sizes = ['--workload', 'T', '--seconds', '0.1', '--check-steps', '3'];
    const args = ['bench', '--json', '--backend', 'cpu', '--threads', '1', ...sizes];
    const exitCode = await runCommandLine(args, [benchWith(failing)], { stdout, stderr });
    expect(exitCode).toBe(2);
    expect(stderr.text).toMatch(/^OPTION: the peer broke failed/);
    const records = stdout.lines.map((line) => JSON.parse(line));
    const whole = records.filter(({ failure }) => failure === null);
    expect(whole.map(({ engine }) => engine)).toEqual(['kronograd', 'naive loop']);
  });
});

describe('what does not fit', () => {
  it.each(['cpu', 'webgpu'])('fits with the batch that the error names: %s', async (name) => {
    using backend = name === 'cpu' ? new Float32Backend() : await createDawnBackend();
    const sized = (batch: number) => trainingWork('lstm', resolveWorkload('L', { batch, hidden: 512 }));
    const refused = (batch: number) => {
      const work = sized(batch);
      try {
        requireFit(backend, work, schedule(work.program));
        return null;
      } catch (error) {
        return error as KronogradError;
      }
    };
    const error = refused(60_000);
    expect(error).toMatchObject({ code: 'MEMORY' });
    const fitting = Number(/about --batch (\d+) fits/.exec(error!.fix!)![1]);
    expect(refused(fitting)).toBeNull();
    expect(refused(Math.ceil(1.1 * fitting))).toMatchObject({ code: 'MEMORY' });
  });
});
