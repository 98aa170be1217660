/** Measures on a device where rules can only estimate, and remembers what it found. */
import type { KernelLimits } from '../../../../kernels/kernel.js';
import type { ProductTile } from '../../../../kernels/product.js';
import type { SequenceTask } from '../../../../kernels/task.js';
import { KronogradError } from '../../../errors.js';
import type { Composition } from '../../../schedule/compose.js';
import type { Loop, Schedule } from '../../../schedule/schedule.js';
import { type Candidate, loopQuestions, productQuestions, type Question } from './questions.js';
import { race, type Timer } from './race.js';
import type { Dispatch } from './stopwatch.js';
import type { TuningOptions } from './store.js';

/** Raised when kernels change so that others may be the fastest: what was found for the older ones is not used. */
const KERNELS = 2;

const MILLISECONDS = 2000;

/** The rule's choice stays unless another takes less than this share of its time: differences below are noise. */
const CLEARLY_LESS = 0.97;

/** What times kernels over the buffers of one schedule. */
export interface Clock extends Disposable {
  prepare(dispatches: readonly Dispatch[]): Promise<Timer>;
}

/** The device as a tuner sees it. */
export interface TunedDevice {
  /** All that is known of adapter, driver and settings: what was found for one name holds for it alone. */
  readonly name: string;
  readonly limits: KernelLimits;
  clock(schedule: Schedule): Clock;
  /** Milliseconds since whenever. */
  now(): number;
}

/** What to generate and compose a schedule with. */
export interface Choices {
  readonly limits: KernelLimits;
  readonly loops: ReadonlyMap<Loop, SequenceTask | null>;
}

/** A measured question, for people. */
export interface Measurement {
  readonly what: string;
  /** Milliseconds of what the rule chooses. */
  readonly rule: number;
  /** Milliseconds of what was chosen, the rule's where nothing is clearly faster. */
  readonly best: number;
  /** What was chosen. */
  readonly choice: string;
}

export class Tuner {
  readonly #device: TunedDevice;
  readonly #options: TuningOptions;
  readonly #onMeasurement: (measurement: Measurement) => void;
  /** Schedules in turn: two at once would measure each other. */
  #busy: Promise<unknown> = Promise.resolve();

  constructor(
    device: TunedDevice,
    options: TuningOptions,
    onMeasurement: (measurement: Measurement) => void = () => {},
  ) {
    this.#device = device;
    this.#options = options;
    this.#onMeasurement = onMeasurement;
  }

  /** What is known, or can be measured in time, of how a schedule is fastest. */
  tune(schedule: Schedule, composition: Composition): Promise<Choices> {
    const choices = this.#busy.then(() => this.#tune(schedule, composition));
    this.#busy = choices.catch(() => {});
    return choices;
  }

  async #tune(schedule: Schedule, composition: Composition): Promise<Choices> {
    const { milliseconds = MILLISECONDS } = this.#options;
    const end = this.#device.now() + milliseconds;
    const isOver = () => this.#device.now() >= end;
    using clock = this.#device.clock(schedule);
    const tiles = new Map<string, ProductTile>();
    for (const question of productQuestions(schedule, this.#device.limits, composition)) {
      const tile = await this.#answer(question, clock, isOver);
      if (tile !== undefined) tiles.set(question.key, tile);
    }
    const limits = { ...this.#device.limits, tiles };
    const loops = new Map<Loop, SequenceTask | null>();
    if (composition === 'auto')
      for (const [loop, question] of loopQuestions(schedule, limits)) {
        const task = await this.#answer(question, clock, isOver);
        if (task !== undefined) loops.set(loop, task);
      }
    return { limits, loops };
  }

  /** Undefined where the rule has to do. */
  async #answer<Choice>(
    { key, candidates }: Question<Choice>,
    clock: Clock,
    isOver: () => boolean,
  ): Promise<Choice | undefined> {
    const { store } = this.#options;
    const place = `${this.#device.name} | kernels ${KERNELS} | ${key}`;
    const remembered = await store.get(place);
    const known = candidates.find(({ name }) => name === remembered);
    if (known !== undefined) return known.choice;
    if (isOver()) return undefined;
    const ready = (await Promise.all(candidates.map((each, n) => prepared(each, clock, n > 0)))).flat();
    const times = await race(
      ready.map(({ timer }) => timer),
      isOver,
    );
    const rule = times[0]!;
    const least = Math.min(...times);
    const best = least < CLEARLY_LESS * rule ? times.indexOf(least) : 0;
    const { name, choice } = ready[best]!.candidate;
    await store.set(place, name);
    this.#onMeasurement({ what: key, rule, best: times[best]!, choice: name });
    return choice;
  }
}

interface Prepared<Choice> {
  readonly candidate: Candidate<Choice>;
  readonly timer: Timer;
}

/** The candidate with its timer; nothing where it may be left out and the driver does not take it. */
async function prepared<Choice>(
  candidate: Candidate<Choice>,
  clock: Clock,
  mayBeLeftOut: boolean,
): Promise<Prepared<Choice>[]> {
  try {
    return [{ candidate, timer: await clock.prepare(candidate.dispatches()) }];
  } catch (error) {
    if (mayBeLeftOut && error instanceof KronogradError && error.code === 'KERNEL') return [];
    throw error;
  }
}
