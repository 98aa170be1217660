/**
 * What every thread does of a run: its share of each stage, in step with the others.
 *
 * `member` goes to worker threads as text, so that no bundler has to know of them: it uses nothing from outside
 * of itself but types.
 */

/** Functions of the module by name, to call for t = first, first + direction, ...; `prepare` before the first. */
export interface Step {
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  readonly prepare: readonly string[];
  readonly execute: readonly string[];
}

export interface Member {
  /** A module's imports; run(addresses) of the functions of its instance, with the addresses of its globals. */
  readonly load: (globals: number) => {
    readonly imports: WebAssembly.Imports;
    readonly runner: (
      exports: WebAssembly.Exports,
      steps: readonly Step[],
    ) => (addresses: readonly number[]) => void;
  };
}

/** @param counter The byte address of two integers, 0 at first, for the threads to meet at when there are several. */
export function member(memory: WebAssembly.Memory, counter: number, part: number, parts: number): Member {
  type StageFunction = (t: number, part: number, parts: number) => void;
  /** How often threads have arrived at a meeting, and whether one has failed. */
  const arrivals = new Int32Array(memory.buffer, counter, 2);
  let expected = 0;

  /** The thread of a page may not sleep. */
  function maySleep(): boolean {
    try {
      Atomics.wait(arrivals, 0, 0, 0);
      return true;
    } catch {
      return false;
    }
  }
  /**
   * Looks at the count before going to sleep, a few microseconds: as much as the shares of a stage usually differ
   * by, and little enough not to lose much where another process has taken the processor that a share waits for.
   */
  const patience = parts > 1 && maySleep() ? 1000 : Number.POSITIVE_INFINITY;

  /** Returns when all threads have come here; throws when one never will. */
  function meet(): void {
    if (parts === 1) return;
    expected = (expected + parts) | 0;
    Atomics.add(arrivals, 0, 1);
    Atomics.notify(arrivals, 0);
    // The count wraps; its distance from what is expected does not.
    for (let looks = 0; ; looks++) {
      const seen = Atomics.load(arrivals, 0);
      if (((seen - expected) | 0) >= 0) return;
      if (Atomics.load(arrivals, 1) !== 0) throw new Error('a thread of the CPU backend failed');
      if (looks > patience) Atomics.wait(arrivals, 0, seen);
    }
  }

  function together(stage: StageFunction, t: number): void {
    stage(t, part, parts);
    meet();
  }

  function load(globals: number): ReturnType<Member['load']> {
    const env: Record<string, WebAssembly.Memory | WebAssembly.Global> = { memory };
    const bases: WebAssembly.Global<'i32'>[] = [];
    for (let k = 0; k < globals; k++) {
      const base = new WebAssembly.Global({ value: 'i32', mutable: true }, 0);
      bases.push(base);
      env[`g${k}`] = base;
    }
    const runner: ReturnType<Member['load']>['runner'] = (exports, steps) => {
      const find = (name: string) => exports[name] as StageFunction;
      const found = steps.map((step) => ({
        first: step.first,
        count: step.count,
        direction: step.direction,
        prepare: step.prepare.map(find),
        execute: step.execute.map(find),
      }));
      return (addresses) => {
        addresses.forEach((address, k) => {
          bases[k]!.value = address;
        });
        try {
          for (const { first, count, direction, prepare, execute } of found) {
            for (const stage of prepare) together(stage, first);
            for (let i = 0, t = first; i < count; i++, t += direction) {
              for (const stage of execute) together(stage, t);
            }
          }
        } catch (error) {
          if (parts > 1) {
            Atomics.store(arrivals, 1, 1);
            Atomics.notify(arrivals, 0);
          }
          throw error;
        }
      };
    };
    return { imports: { env }, runner };
  }

  return { load };
}
