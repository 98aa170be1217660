import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { benchWithPeers } from '../../bench/command.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { EngineContender } from '../../src/bench/engine.js';
import { referenceWeights } from '../../src/bench/reference.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { runCommandLine } from '../../src/cli/program.js';
import { Collected } from '../cli/collect.js';

const serve = pathToFileURL(resolve(import.meta.dirname, '../../bench/peers/serve.mjs')).href;

/** Stands in for bench/peers: `tfjs` is installed and does what a test says, jax-js is missing. */
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'peers-'));
  mkdirSync(join(folder, 'node_modules', '@tensorflow', 'tfjs'), { recursive: true });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @param step The body of the peer's step, which sees `count`, `weights` and `batch`. */
function peerDoes(step: string): void {
  writeFileSync(
    join(folder, 'tfjs.mjs'),
    `import { serve } from ${JSON.stringify(serve)};
     serve(async ({ backend, weights, batch }) => {
       if (backend === 'wasm') throw new Error('no wasm today');
       let count = 0;
       return { engine: 'stub 1.0', adapter: 'paper', step: async () => { count++; ${step} } };
     });`,
  );
}

async function run(peers: string, ...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const options = ['--workload', 'T', '--backend', 'cpu', '--threads', '1', '--seconds', '0.02', '--json'];
  const exitCode = await runCommandLine(
    ['bench', ...args, '--peers', peers, '--check-steps', '2', ...options],
    [benchWithPeers(folder)],
    { stdout, stderr },
  );
  return { exitCode, out: stdout, err: stderr.text };
}

/** Of two steps of T, which a peer has to match. */
async function referenceLosses(): Promise<number[]> {
  using backend = new Float32Backend();
  const begun = { at: 0, from: 'compile start' } as const;
  using engine = await EngineContender.create(backend, trainingWork('lstm', resolveWorkload('T')), begun);
  const first = (await engine.loss())!;
  await engine.run(1);
  return [first, (await engine.loss())!];
}

describe('peers', () => {
  it('take part, when they can', async () => {
    const losses = await referenceLosses();
    peerDoes(`return ${JSON.stringify(losses)}[count - 1] ?? 0;`);
    const { exitCode, out, err } = await run('tfjs-cpu');
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    const peer = out.lines.map((line) => JSON.parse(line)).find(({ engine }) => engine === 'stub 1.0');
    expect(peer).toMatchObject({
      backend: 'cpu',
      adapter: 'paper',
      loss_steps: 2,
      first_step_from: 'process start',
    });
    expect(peer.peak_rss_bytes).toBeGreaterThan(0);
  });

  it('are skipped by name when they are missing or fail to start', async () => {
    const { exitCode, err } = await run('tfjs-wasm,jax-wasm');
    expect(exitCode).toBe(0);
    expect(err).toContain('skipped: tfjs-wasm: no wasm today\n');
    expect(err).toContain('skipped: jax-wasm: @jax-js/jax is not installed: npm ci --prefix bench/peers\n');
  });

  it('are refused when their losses are not ours', async () => {
    peerDoes('return 4;');
    const { exitCode, err } = await run('tfjs-cpu');
    expect(exitCode).toBe(2);
    expect(err).toMatch(/DATA: the loss of step 1 is 4 on stub 1.0 \(cpu\) and 4\.\d+ on kronograd \(cpu\)/);
  });

  it('that fail in the middle of a run are named', async () => {
    peerDoes("if (count > 1) throw new Error('out of paper'); return 4;");
    const { exitCode, err } = await run('tfjs-cpu');
    expect(exitCode).toBe(2);
    expect(err).toContain('OPTION: the peer tfjs-cpu failed: out of paper');
  });

  it('that die are named', async () => {
    peerDoes('if (count > 1) process.exit(3); return 4;');
    const { exitCode, err } = await run('tfjs-cpu');
    expect(exitCode).toBe(2);
    expect(err).toContain('OPTION: the peer tfjs-cpu failed: its process ended (exit code 3)');
  });

  it('that nobody knows are refused', async () => {
    const { exitCode, err } = await run('brain-cpu');
    expect(exitCode).toBe(2);
    expect(err).toContain("OPTION: there is no peer 'brain-cpu'");
  });
});

describe('PyTorch', () => {
  const real = pathToFileURL(resolve(import.meta.dirname, '../../bench/peers/pytorch.mjs')).href;

  /** A Python that does what a test says with each `message` it gets, of which it has seen `steps` to run. */
  function pythonDoes(reply: string): void {
    writeFileSync(join(folder, 'pytorch.mjs'), `import ${JSON.stringify(real)};`);
    const python = join(folder, 'python');
    const script = `#!/usr/bin/env node
      let steps = 0;
      require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
        const message = JSON.parse(line);
        steps += message.run ?? 0;
        console.log(JSON.stringify((() => { ${reply} })()));
      });`;
    writeFileSync(python, script, { mode: 0o755 });
    vi.stubEnv('PYTHON', python);
  }
  afterEach(() => void vi.unstubAllEnvs());

  it('does its steps elsewhere, with the same weights and batch', async () => {
    const losses = await referenceLosses();
    const { head } = referenceWeights(resolveWorkload('T'));
    pythonDoes(`
      if (message.run) return { ms: message.run, loss: ${JSON.stringify(losses)}[steps - 1] ?? 0, peakRssBytes: 123 };
      const head = new Float32Array(new Uint8Array(Buffer.from(message.weights.head, 'base64')).buffer);
      if (head.length !== ${head.length} || head[7] !== ${head[7]}) return { error: 'other weights' };
      return { engine: 'PyTorch of paper', adapter: message.device };`);
    const { exitCode, out, err } = await run('pytorch-cuda');
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    const peer = out.lines.map((line) => JSON.parse(line)).find(({ backend }) => backend === 'cuda');
    expect(peer).toMatchObject({
      engine: 'PyTorch of paper',
      adapter: 'cuda',
      median_ms: 1,
      peak_rss_bytes: 123,
    });
    expect(peer.loss_error).toBe(0);
  });

  it('is skipped by name without Python, without the package and without the device', async () => {
    pythonDoes(
      "if (message.device === 'cuda') return { error: 'no CUDA device' }; throw new Error('No module');",
    );
    const { exitCode, err } = await run('pytorch-cpu,pytorch-cuda');
    expect(exitCode).toBe(0);
    expect(err).toMatch(/^skipped: pytorch-cpu: /m);
    expect(err).toContain('skipped: pytorch-cuda: no CUDA device\n');
    vi.stubEnv('PYTHON', '/nowhere/python');
    expect((await run('pytorch-cpu')).err).toContain('skipped: pytorch-cpu: there is no /nowhere/python\n');
  });
});
