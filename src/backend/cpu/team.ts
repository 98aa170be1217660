/** The threads of a backend: the caller's own and, where there are any, workers that do the other shares. */
import { type Member, member, type Step } from './member.js';
import type { Memory } from './memory.js';

/**
 * A worker thread that runs a script. The script finds two functions in scope: `receive(handler)` for the
 * messages posted to it, and `reply(message)`.
 */
export interface WorkerThread {
  post(message: unknown): void;
  /** The next reply. Rejects when the thread ends instead. */
  reply(): Promise<unknown>;
  terminate(): void;
}

export type StartWorker = (script: string) => WorkerThread;

/** A module made ready in all threads. */
export interface LoadedModule {
  /** Does one run; `addresses[part]` are the values of the globals in each thread. */
  run(addresses: readonly (readonly number[])[]): void;
  unload(): void;
}

type Message =
  | { kind: 'join'; memory: WebAssembly.Memory; counter: number; part: number; parts: number }
  | { kind: 'load'; id: number; module: WebAssembly.Module; globals: number; steps: readonly Step[] }
  | { kind: 'run'; id: number; addresses: readonly number[] }
  | { kind: 'unload'; id: number };

/** The worker's side. Like `member` it goes there as text, and is given `member` itself. */
function serve(
  receive: (handler: (message: Message) => void) => void,
  reply: (message: unknown) => void,
  makeMember: typeof member,
): void {
  let self: Member;
  const runs = new Map<number, (addresses: readonly number[]) => void>();
  receive((message) => {
    if (message.kind === 'join') {
      self = makeMember(message.memory, message.counter, message.part, message.parts);
      reply('joined');
    } else if (message.kind === 'load') {
      const { imports, runner } = self.load(message.globals);
      const instance = new WebAssembly.Instance(message.module, imports);
      runs.set(message.id, runner(instance.exports, message.steps));
      reply('loaded');
    } else if (message.kind === 'run') {
      try {
        runs.get(message.id)!(message.addresses);
      } catch {
        // The caller's thread fails with this one, and throws where it can be caught.
      }
    } else runs.delete(message.id);
  });
}

export class Team {
  readonly #own: Member;
  readonly #workers: readonly WorkerThread[];
  #loaded = 0;
  /** One load at a time, so that replies need no names. */
  #ready: Promise<unknown> = Promise.resolve();

  private constructor(own: Member, workers: readonly WorkerThread[]) {
    this.#own = own;
    this.#workers = workers;
  }

  /** The caller's thread alone. */
  static solo(memory: Memory): Team {
    return new Team(member(memory.memory, 0, 0, 1), []);
  }

  /** The caller's thread and `workers` more, over shared memory. */
  static async start(memory: Memory, workers: number, startWorker: StartWorker): Promise<Team> {
    const counter = memory.allocate(8).address;
    const parts = workers + 1;
    const script = `(${serve.toString()})(receive, reply, ${member.toString()});`;
    const threads = Array.from({ length: workers }, () => startWorker(script));
    threads.forEach((thread, k) => {
      thread.post({ kind: 'join', memory: memory.memory, counter, part: k + 1, parts } satisfies Message);
    });
    try {
      await Promise.all(threads.map((thread) => thread.reply()));
    } catch (error) {
      for (const thread of threads) thread.terminate();
      throw error;
    }
    return new Team(member(memory.memory, counter, 0, parts), threads);
  }

  /** Threads, the caller's included. */
  get size(): number {
    return this.#workers.length + 1;
  }

  async load(module: WebAssembly.Module, globals: number, steps: readonly Step[]): Promise<LoadedModule> {
    const id = this.#loaded++;
    this.#ready = this.#ready.then(() => {
      this.#tell({ kind: 'load', id, module, globals, steps });
      return Promise.all(this.#workers.map((worker) => worker.reply()));
    });
    const { imports, runner } = this.#own.load(globals);
    const [instance] = await Promise.all([WebAssembly.instantiate(module, imports), this.#ready]);
    const runOwn = runner(instance.exports, steps);
    return {
      run: (addresses) => {
        this.#workers.forEach((worker, k) => {
          worker.post({ kind: 'run', id, addresses: addresses[k + 1]! } satisfies Message);
        });
        runOwn(addresses[0]!);
      },
      unload: () => this.#tell({ kind: 'unload', id }),
    };
  }

  /** Ends the workers. */
  disband(): void {
    for (const worker of this.#workers) worker.terminate();
  }

  #tell(message: Message): void {
    for (const worker of this.#workers) worker.post(message);
  }
}
