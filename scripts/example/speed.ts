/** Steps per second over the last seconds. */
export class Speed {
  static readonly WINDOW = 5000;
  #marks: { readonly step: number; readonly time: number }[] = [];

  /** Null until there are two moments to compare. */
  at(step: number): number | null {
    const time = performance.now();
    this.#marks.push({ step, time });
    this.#marks = this.#marks.filter((mark) => time - mark.time <= Speed.WINDOW);
    const [first] = this.#marks;
    return first === undefined || time === first.time
      ? null
      : ((step - first.step) * 1000) / (time - first.time);
  }
}
