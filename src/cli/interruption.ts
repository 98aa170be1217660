/** Ctrl-C: the first one asks for an orderly end, a later one ends the process. */
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** A terminal signals the whole process group, and a parent such as npm may pass the signal on: one key, two signals. */
const SAME_KEY = 1000;

export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #onInterrupt: () => void;
  #time = 0;
  /** The exit code that says which signal it was; 0 before there is one. */
  exitCode = 0;

  /** `onInterrupt` is called at the first signal. */
  constructor(onInterrupt: () => void) {
    this.#onInterrupt = onInterrupt;
    for (const name of Object.keys(SIGNALS)) process.on(name, this.#handle);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  readonly #handle = (name: keyof typeof SIGNALS): void => {
    const time = performance.now();
    if (this.exitCode !== 0) {
      if (time - this.#time > SAME_KEY) process.exit(SIGNALS[name]);
      return;
    }
    this.exitCode = SIGNALS[name];
    this.#time = time;
    this.#onInterrupt();
    this.#controller.abort();
  };

  [Symbol.dispose](): void {
    for (const name of Object.keys(SIGNALS)) process.off(name, this.#handle);
  }
}
