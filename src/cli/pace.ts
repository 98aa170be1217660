/** How fast a run is: measured over the last half minute, so that start-up and pauses are soon forgotten. */
export class Pace {
  static readonly WINDOW = 30_000;
  readonly #now: () => number;
  #total = 0;
  #tokensPerStep = 0;
  #samples: { readonly step: number; readonly time: number }[] = [];

  /** `now` gives the time in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  start(total: number, done: number, tokensPerStep: number): void {
    this.#total = total;
    this.#tokensPerStep = tokensPerStep;
    this.#samples = [{ step: done, time: this.#now() }];
  }

  /** The speed when `step` steps have been made; `secondsLeft` is infinite before there is a first one. */
  at(step: number): { readonly tokensPerSecond: number; readonly secondsLeft: number } {
    const time = this.#now();
    this.#samples.push({ step, time });
    while (this.#samples.length > 2 && time - this.#samples[0]!.time > Pace.WINDOW) this.#samples.shift();
    const first = this.#samples[0]!;
    const stepsPerSecond =
      step > first.step ? (1000 * (step - first.step)) / Math.max(time - first.time, 1) : 0;
    return {
      tokensPerSecond: stepsPerSecond * this.#tokensPerStep,
      secondsLeft: (this.#total - step) / stepsPerSecond,
    };
  }
}
