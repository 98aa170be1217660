import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { benchWithPeers } from '../../bench/command.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { EngineContender } from '../../src/bench/engine.js';
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
