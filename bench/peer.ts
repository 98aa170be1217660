/** A peer as a contender: a process of its own, so that its memory and its first step are its own too. */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender, ContenderFacts } from '../src/bench/contender.js';
import { referenceBatch, referenceWeights } from '../src/bench/reference.js';
import type { Workload } from '../src/bench/workload.js';
import { KronogradError } from '../src/errors.js';

export interface PeerName {
  /** Of the script in bench/peers. */
  readonly script: string;
  /** The npm package that it times; null for what npm does not have, which says itself whether it is there. */
  readonly packageName: string | null;
  readonly backend: 'cpu' | 'wasm' | 'webgpu' | 'cuda';
}

/** In the order in which they take their turns. */
export const PEERS: readonly PeerName[] = [
  { script: 'tfjs', packageName: '@tensorflow/tfjs', backend: 'cpu' },
  { script: 'tfjs', packageName: '@tensorflow/tfjs', backend: 'wasm' },
  { script: 'tfjs', packageName: '@tensorflow/tfjs', backend: 'webgpu' },
  { script: 'jax', packageName: '@jax-js/jax', backend: 'wasm' },
  { script: 'jax', packageName: '@jax-js/jax', backend: 'webgpu' },
  { script: 'pytorch', packageName: null, backend: 'cpu' },
  { script: 'pytorch', packageName: null, backend: 'cuda' },
];

export const nameOf = ({ script, backend }: PeerName): string => `${script}-${backend}`;

/** What a peer answers; see bench/peers/serve.mjs. */
interface Reply {
  readonly error?: string;
  readonly engine: string;
  readonly adapter: string;
  readonly firstStepMs: number;
  readonly ms: number;
  readonly loss: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly peakRssBytes: number;
}

export class Peer implements Contender {
  readonly engine: string;
  readonly backend: string;
  readonly adapter: string;
  readonly features = null;
  readonly #name: PeerName;
  readonly #child: ChildProcess;
  readonly #firstStepMs: number;
  #last: Reply;
  #counts: { dispatches: number; submits: number } | undefined;

  private constructor(name: PeerName, child: ChildProcess, first: Reply) {
    this.#name = name;
    this.#child = child;
    this.engine = first.engine;
    this.backend = name.backend;
    this.adapter = first.adapter;
    this.#firstStepMs = first.firstStepMs;
    this.#last = first;
  }

  /**
   * Starts a peer and does its first step.
   * @param folder bench/peers, with its packages installed.
   * @throws Error with the reason when the peer cannot do it.
   */
  static async start(folder: string, name: PeerName, workload: Workload): Promise<Peer> {
    const { packageName } = name;
    if (packageName !== null && !existsSync(join(folder, 'node_modules', packageName)))
      throw new Error(`${packageName} is not installed: npm ci --prefix bench/peers`);
    const child = fork(join(folder, `${name.script}.mjs`), {
      cwd: folder,
      serialization: 'advanced',
      // What peers print is for nobody.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      execArgv: [],
    });
    const [weights, batch] = [referenceWeights(workload), referenceBatch(workload)];
    try {
      const first = await ask(child, { create: { backend: name.backend, workload, weights, batch } });
      return new Peer(name, child, first);
    } catch (error) {
      child.kill();
      throw error;
    }
  }

  get facts(): ContenderFacts {
    const onGpu = this.backend === 'webgpu';
    return {
      dispatches: onGpu ? (this.#counts?.dispatches ?? null) : null,
      submits: onGpu ? (this.#counts?.submits ?? null) : null,
      arenaBytes: null,
      firstStepMs: this.#firstStepMs,
      firstStepFrom: 'process start',
    };
  }

  /** @throws KronogradError OPTION when the peer fails in the middle of a run. */
  async run(steps: number): Promise<number> {
    const last = await ask(this.#child, { run: steps }).catch((cause: Error) => {
      const name = nameOf(this.#name);
      throw new KronogradError('OPTION', `the peer ${name} failed: ${cause.message}`, {
        where: '--peers',
        fix: `leave ${name} out`,
        cause,
      });
    });
    this.#last = last;
    this.#counts = { dispatches: last.dispatches / steps, submits: last.submits / steps };
    return last.ms;
  }

  loss(): Promise<number> {
    return Promise.resolve(this.#last.loss);
  }

  peakRssBytes(): Promise<number> {
    return Promise.resolve(this.#last.peakRssBytes);
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}

/** One message, one reply. Rejects when the peer fails or ends. */
function ask(child: ChildProcess, message: object): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void) => {
      child.off('message', onMessage);
      child.off('exit', onExit);
      finish();
    };
    const onMessage = (reply: unknown) => {
      const answer = reply as Reply;
      settle(() => (answer.error === undefined ? resolve(answer) : reject(new Error(answer.error))));
    };
    const onExit = (code: number | null, signal: string | null) =>
      settle(() => reject(new Error(`its process ended (${signal ?? `exit code ${code}`})`)));
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.send(message);
  });
}
