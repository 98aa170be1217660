/** Which of several ways to do the same is the fastest. Knows neither GPUs nor kernels. */

/** Runs something `repeats` times and resolves to the milliseconds of all of them. */
export type Timer = (repeats: number) => Promise<number>;

/** A round of the first is repeated until it takes about this long: clocks tick every 0.1 ms, and launches vary. */
const ROUND_MS = 5;

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
  const repeats = await repeatsOf(timers[0]!);
  const times: number[][] = [];
  for (const timer of timers) {
    await timer(1); // the first run of a kernel may include its compilation
    times.push([(await timer(repeats)) / repeats]);
  }
  const bound = TOO_SLOW * Math.min(...times.map(([first]) => first!));
  for (let round = 1; round < ROUNDS && !isOver(); round++)
    for (const [n, timer] of timers.entries())
      if (times[n]![0]! <= bound) times[n]!.push((await timer(repeats)) / repeats);
  return times.map(median);
}

async function repeatsOf(timer: Timer): Promise<number> {
  await timer(1);
  let repeats = 1;
  while (repeats < MOST_REPEATS && (await timer(repeats)) < ROUND_MS / 2) repeats *= 4;
  return repeats;
}
