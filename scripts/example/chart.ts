/** The curve of a run: bits per character over steps, in the colours of the page. */
import uPlot from 'uplot';

/** The weight of the newest loss in the smooth curve. */
const SMOOTHING = 0.1;

const HEIGHT = 300;

export class LossChart {
  readonly #parent: HTMLElement;
  #plot: uPlot | undefined;
  #frame = 0;
  #steps: number[] = [];
  #losses: number[] = [];
  #smooth: number[] = [];
  #validation: (number | null)[] = [];
  #bigram: number | null = null;

  constructor(parent: HTMLElement) {
    this.#parent = parent;
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(parent);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#build());
    this.#build();
  }

  /** Empties it for a new run. All figures are in bits per character. */
  start(bigram: number | null): void {
    this.#steps = [];
    this.#losses = [];
    this.#smooth = [];
    this.#validation = [];
    this.#bigram = bigram;
    this.#draw();
  }

  addLoss(step: number, bits: number): void {
    const before = this.#smooth.at(-1) ?? bits;
    this.#steps.push(step);
    this.#losses.push(bits);
    this.#smooth.push(before + Math.max(SMOOTHING, 1 / this.#steps.length) * (bits - before));
    this.#validation.push(null);
    this.#draw();
  }

  /** Of a step whose loss has been added. */
  addValidation(step: number, bits: number): void {
    const index = this.#steps.lastIndexOf(step);
    if (index >= 0) this.#validation[index] = bits;
    this.#draw();
  }

  #draw(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#plot?.setData(this.#data());
    });
  }

  #data(): uPlot.AlignedData {
    const bigram = this.#steps.map(() => this.#bigram);
    return [this.#steps, this.#losses, this.#smooth, this.#validation, bigram];
  }

  #size() {
    return { width: Math.max(280, this.#parent.clientWidth), height: HEIGHT };
  }

  #build(): void {
    this.#plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      stroke: colour('muted'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { show: false },
    };
    const number = (_: uPlot, value: number | null) => (value === null ? '–' : value.toFixed(3));
    this.#plot = new uPlot(
      {
        ...this.#size(),
        scales: {
          x: { time: false },
          nats: { from: 'bits', range: (_, min, max) => [min * Math.LN2, max * Math.LN2] },
        },
        axes: [
          axis,
          { ...axis, scale: 'bits', label: 'bits per character', labelSize: 24, size: 44 },
          {
            ...axis,
            scale: 'nats',
            side: 1,
            label: 'loss in nats',
            labelSize: 24,
            size: 44,
            grid: { show: false },
          },
        ],
        series: [
          { label: 'step' },
          {
            label: 'batch',
            scale: 'bits',
            stroke: colour('faint'),
            width: 1,
            points: { show: false },
            value: number,
          },
          {
            label: 'smooth',
            scale: 'bits',
            stroke: colour('accent'),
            width: 2,
            points: { show: false },
            value: number,
          },
          {
            label: 'validation',
            scale: 'bits',
            stroke: colour('second'),
            width: 2,
            spanGaps: true,
            points: { show: true, size: 7, fill: colour('second') },
            value: number,
          },
          {
            label: 'bigram model',
            scale: 'bits',
            stroke: colour('muted'),
            width: 1,
            dash: [6, 6],
            points: { show: false },
            value: number,
          },
        ],
      },
      this.#data(),
      this.#parent,
    );
  }
}
