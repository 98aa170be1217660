/** Which of several ways to do the same is the fastest. Knows neither GPUs nor kernels. */

/** Runs something `repeats` times and resolves to the milliseconds of all of them. */
export type Timer = (repeats: number) => Promise<number>;

/** Runs are repeated until the fastest take about this long together: clocks tick every 0.1 ms, and launches vary. */
const ROUND_MS = 2.5;

const MOST_REPEATS = 1024;

const ROUNDS = 3;

/** What takes this many times the shortest time in the first round is out. */
const TOO_SLOW = 1.5;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/**
 * The milliseconds of one run of each: medians of up to three rounds, in which they take turns, so that what else the
 * machine does meets all of them.
 * @param isOver Asked between rounds whether there is no time for another one. The first is always run.
 */
export async function race(timers: readonly Timer[], isOver: () => boolean): Promise<number[]> {
  for (const timer of timers) await timer(1); // the first run of a kernel may include its compilation
  let repeats = 1;
  let first = await round(timers, repeats);
  while (repeats < MOST_REPEATS && Math.min(...first) * repeats < ROUND_MS) {
    repeats *= 4;
    first = await round(timers, repeats);
  }
  const times = first.map((time) => [time]);
  const bound = TOO_SLOW * Math.min(...first);
  const left = timers.map((timer, n) => ({ timer, n })).filter(({ n }) => first[n]! <= bound);
  for (let count = 1; count < ROUNDS && !isOver(); count++) {
    const next = await round(
      left.map(({ timer }) => timer),
      repeats,
    );
    left.forEach(({ n }, k) => {
      times[n]!.push(next[k]!);
    });
  }
  return times.map(median);
}

/** One turn of each: the milliseconds of one run. */
async function round(timers: readonly Timer[], repeats: number): Promise<number[]> {
  const times: number[] = [];
  for (const timer of timers) times.push((await timer(repeats)) / repeats);
  return times;
}
