/** Holds up a loop while it is closed. */
export class Gate {
  #opened: Promise<void> | null = null;
  #open: () => void = () => {};

  close(): void {
    this.#opened ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
    this.#opened = null;
  }

  /** Resolves at once while it is open. */
  async pass(): Promise<void> {
    await this.#opened;
  }
}
