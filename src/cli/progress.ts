import type { Writable } from 'node:stream';
import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { JsonRecord } from '../interop/json.js';
import { Pace } from './pace.js';

export interface ProgressStart {
  /** The number of the last step. */
  readonly total: number;
  /** Steps made before, by the run that is resumed. */
  readonly done?: number;
  /** Characters that one step trains on. */
  readonly tokensPerStep: number;
}

export interface ProgressUpdate {
  /** Steps made so far. */
  readonly step: number;
  /** Mean cross-entropy in nats. */
  readonly loss: number;
  /** In mixed precision. */
  readonly lossScale?: number;
  readonly skippedSteps?: number;
}

/** How a training run shows itself. */
export interface Progress {
  start(start: ProgressStart): void;
  update(update: ProgressUpdate): void;
  /** A line between updates: the message for people, the fields for programs. */
  log(message: string, fields?: JsonRecord): void;
  /** Ends the display and leaves the terminal in order. Calling it again does nothing. */
  stop(): void;
}

export interface ProgressOptions {
  /** One JSON object a line. */
  readonly json?: boolean;
  /** Whether losses are those of characters, to be told in bits too. */
  readonly bits?: boolean;
  /** Where to write: a bar when it is a terminal, plain lines when not. */
  readonly stream: Writable & { readonly isTTY?: boolean };
  /** The time in milliseconds. */
  readonly now?: () => number;
}

/** The display that fits the stream and the user's wish. */
export function createProgress({
  json = false,
  bits = true,
  stream,
  now = () => performance.now(),
}: ProgressOptions): Progress {
  if (json) return new JsonProgress(stream, now, bits);
  if (stream.isTTY === true) return new BarProgress(stream, now, bits);
  return new LineProgress(stream, now, bits);
}

/** Bits per character of a mean cross-entropy in nats. */
export function bitsPerCharacter(loss: number): number {
  return loss / Math.LN2;
}

class BarProgress implements Progress {
  /** At least so long between two drawings. */
  static readonly FRAME = 100;
  readonly #stream: Writable;
  readonly #now: () => number;
  readonly #pace: Pace;
  #lastFrame = Number.NEGATIVE_INFINITY;
  #bars: MultiBar | undefined;
  #bar: SingleBar | undefined;

  constructor(
    stream: Writable,
    now: () => number,
    private readonly bits: boolean,
  ) {
    this.#stream = stream;
    this.#now = now;
    this.#pace = new Pace(now);
  }

  start({ total, done = 0, tokensPerStep }: ProgressStart): void {
    this.#pace.start(total, done, tokensPerStep);
    // A MultiBar, though there is one bar: only it can print lines above its bars.
    this.#bars = new MultiBar(
      {
        stream: this.#stream,
        format: `{bar} {percentage}% | {value}/{total} | loss {loss} | ${this.bits ? '{bits} bits/char | ' : ''}{speed} tokens/s | {left} left{scaling}`,
        barsize: 20,
        hideCursor: true,
        forceRedraw: true, // or a line printed above would wipe out the bar
        gracefulExit: false, // the command itself handles SIGINT
      },
      Presets.shades_classic,
    );
    this.#bar = this.#bars.create(total, done, { loss: '-', bits: '-', speed: '-', left: '-', scaling: '' });
  }

  update({ step, loss, ...scaling }: ProgressUpdate): void {
    const { tokensPerSecond, secondsLeft } = this.#pace.at(step);
    this.#bar?.update(step, {
      scaling: scalingTexts(scaling)
        .map((text) => ` | ${text}`)
        .join(''),
      loss: loss.toFixed(4),
      bits: bitsPerCharacter(loss).toFixed(3),
      speed: formatRate(tokensPerSecond),
      left: formatSeconds(secondsLeft),
    });
    // Drawn from here, and not only by the bar's own timer: training on the CPU leaves timers no time.
    if (this.#now() - this.#lastFrame >= BarProgress.FRAME) this.#draw();
  }

  log(message: string): void {
    if (this.#bars === undefined) {
      this.#stream.write(`${message}\n`);
      return;
    }
    this.#bars.log(`${message}\n`);
    this.#draw();
  }

  stop(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#bar = undefined;
  }

  #draw(): void {
    this.#lastFrame = this.#now();
    this.#bars?.update();
  }
}

class LineProgress implements Progress {
  /** At least so long between two lines, except for the last. */
  static readonly INTERVAL = 2000;
  readonly #stream: Writable;
  readonly #now: () => number;
  readonly #pace: Pace;
  #total = 0;
  #lastLine = Number.NEGATIVE_INFINITY;

  constructor(
    stream: Writable,
    now: () => number,
    private readonly bits: boolean,
  ) {
    this.#stream = stream;
    this.#now = now;
    this.#pace = new Pace(now);
  }

  start({ total, done = 0, tokensPerStep }: ProgressStart): void {
    this.#total = total;
    this.#pace.start(total, done, tokensPerStep);
  }

  update({ step, loss, ...scaling }: ProgressUpdate): void {
    const { tokensPerSecond, secondsLeft } = this.#pace.at(step);
    const time = this.#now();
    if (step < this.#total && time - this.#lastLine < LineProgress.INTERVAL) return;
    this.#lastLine = time;
    const parts = [
      `step ${step}/${this.#total}`,
      `loss ${loss.toFixed(4)}`,
      ...(this.bits ? [`${bitsPerCharacter(loss).toFixed(3)} bits/char`] : []),
      ...scalingTexts(scaling),
      `${formatRate(tokensPerSecond)} tokens/s`,
      `${formatSeconds(secondsLeft)} left`,
    ];
    this.log(parts.join('  '));
  }

  log(message: string): void {
    this.#stream.write(`${message}\n`);
  }

  stop(): void {}
}

class JsonProgress implements Progress {
  readonly #stream: Writable;
  readonly #pace: Pace;

  constructor(
    stream: Writable,
    now: () => number,
    private readonly bits: boolean,
  ) {
    this.#stream = stream;
    this.#pace = new Pace(now);
  }

  start({ total, done = 0, tokensPerStep }: ProgressStart): void {
    this.#pace.start(total, done, tokensPerStep);
    this.#write({ event: 'start', total, done, tokensPerStep });
  }

  update({ step, loss, lossScale, skippedSteps }: ProgressUpdate): void {
    this.#write({
      event: 'step',
      ...{ step, loss, lossScale, skippedSteps },
      ...(this.bits ? { bitsPerCharacter: bitsPerCharacter(loss) } : {}),
      ...this.#pace.at(step),
    });
  }

  log(message: string, fields: JsonRecord = {}): void {
    this.#write({ event: 'log', message, ...fields });
  }

  stop(): void {}

  #write(record: JsonRecord): void {
    this.#stream.write(`${JSON.stringify(record)}\n`);
  }
}

/** The scale of the loss as a power of two, and how many steps it was too large for. */
function scalingTexts({
  lossScale,
  skippedSteps,
}: Pick<ProgressUpdate, 'lossScale' | 'skippedSteps'>): string[] {
  if (lossScale === undefined) return [];
  const skipped = skippedSteps ? `, ${skippedSteps} skipped` : '';
  return [`scale 2^${Math.log2(lossScale)}${skipped}`];
}

function formatRate(perSecond: number): string {
  return perSecond >= 1000 ? `${(perSecond / 1000).toFixed(1)}k` : perSecond.toFixed(0);
}

/** `4:05`, or `1:04:05` from an hour on. */
function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
}
