/**
 * The training step as one would write it in plain JavaScript: loops over typed arrays, every inner loop over
 * neighbouring elements, no blocking, no library. It is the baseline that other engines are held against, and
 * its losses are compared with theirs, so that it is a fair one.
 */
import type { ReferenceBatch, ReferenceWeights } from './reference.js';
import { LEARNING_RATE, type Workload } from './workload.js';

/** A parameter with its gradient and Adam's two moments. */
class Parameter {
  readonly gradient: Float32Array;
  readonly #m: Float32Array;
  readonly #v: Float32Array;

  constructor(readonly value: Float32Array) {
    this.gradient = new Float32Array(value.length);
    this.#m = new Float32Array(value.length);
    this.#v = new Float32Array(value.length);
  }

  /** One step of Adam, after which the gradient is zero. */
  update(step: number): void {
    const stepSize = LEARNING_RATE / (1 - 0.9 ** step);
    const rootCorrection = Math.sqrt(1 - 0.999 ** step);
    const { value, gradient } = this;
    const m = this.#m;
    const v = this.#v;
    for (let i = 0; i < value.length; i++) {
      const g = gradient[i]!;
      m[i] = 0.9 * m[i]! + 0.1 * g;
      v[i] = 0.999 * v[i]! + 0.001 * g * g;
      value[i] = value[i]! - (stepSize * m[i]!) / (Math.sqrt(v[i]!) / rootCorrection + 1e-8);
      gradient[i] = 0;
    }
  }
}

/**
 * A layer's parameters, and what its forward pass leaves for the backward one; times and samples outermost.
 */
interface Layer {
  /** Features of the input; of the first layer's one-hot input, the vocabulary. */
  readonly features: number;
  readonly input: Parameter;
  readonly recurrent: Parameter;
  readonly inputBias: Parameter;
  readonly recurrentBias: Parameter;
  /** Activations i, f, g, o: [T, r, 4H]. */
  readonly gates: Float32Array;
  /** [T + 1, r, H], from the initial state on. */
  readonly h: Float32Array;
  readonly c: Float32Array;
  /** dE/dh from above: [T, r, H]. */
  readonly upstream: Float32Array;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** target[at .. at+n) += x * source[from .. from+n) */
function addScaled(
  target: Float32Array,
  at: number,
  x: number,
  source: Float32Array,
  from: number,
  n: number,
): void {
  for (let j = 0; j < n; j++) target[at + j] = target[at + j]! + x * source[from + j]!;
}

function dot(a: Float32Array, at: number, b: Float32Array, from: number, n: number): number {
  let sum = 0;
  for (let j = 0; j < n; j++) sum += a[at + j]! * b[from + j]!;
  return sum;
}

export class NaiveLstm {
  readonly #sizes: Workload;
  readonly #batch: ReferenceBatch;
  readonly #layers: readonly Layer[];
  readonly #head: Parameter;
  readonly #headBias: Parameter;
  #steps = 0;

  constructor(workload: Workload, weights: ReferenceWeights, batch: ReferenceBatch) {
    const { batch: r, unroll: T, hidden: H, vocabulary } = workload;
    this.#sizes = workload;
    this.#batch = batch;
    this.#layers = weights.layers.map(
      ({ input, recurrent }): Layer => ({
        features: input.length / (4 * H),
        input: new Parameter(input.slice()),
        recurrent: new Parameter(recurrent.slice()),
        inputBias: new Parameter(new Float32Array(4 * H)),
        recurrentBias: new Parameter(new Float32Array(4 * H)),
        gates: new Float32Array(T * r * 4 * H),
        h: new Float32Array((T + 1) * r * H),
        c: new Float32Array((T + 1) * r * H),
        upstream: new Float32Array(T * r * H),
      }),
    );
    this.#head = new Parameter(weights.head.slice());
    this.#headBias = new Parameter(new Float32Array(vocabulary));
  }

  /** Forward, backward and update; the mean loss before the update. */
  step(): number {
    const layers = this.#layers;
    layers.forEach((layer, l) => this.#forward(layer, layers[l - 1]));
    const loss = this.#loss(layers[layers.length - 1]!);
    for (let l = layers.length - 1; l >= 0; l--) this.#backward(layers[l]!, layers[l - 1]);
    this.#steps++;
    for (const { input, recurrent, inputBias, recurrentBias } of layers)
      for (const each of [input, recurrent, inputBias, recurrentBias]) each.update(this.#steps);
    this.#head.update(this.#steps);
    this.#headBias.update(this.#steps);
    return loss;
  }

  #forward(layer: Layer, below: Layer | undefined): void {
    const { batch: r, unroll: T, hidden: H } = this.#sizes;
    const { gates, h, c, features } = layer;
    const G = 4 * H;
    for (let n = 0; n < T * r; n++) {
      const a = n * G;
      for (let j = 0; j < G; j++) gates[a + j] = layer.inputBias.value[j]! + layer.recurrentBias.value[j]!;
      const before = n * H;
      const after = (n + r) * H;
      if (below === undefined) addScaled(gates, a, 1, layer.input.value, this.#batch.characters[n]! * G, G);
      else
        for (let k = 0; k < features; k++)
          addScaled(gates, a, below.h[after + k]!, layer.input.value, k * G, G);
      for (let k = 0; k < H; k++) addScaled(gates, a, h[before + k]!, layer.recurrent.value, k * G, G);
      for (let j = 0; j < H; j++) {
        const i = sigmoid(gates[a + j]!);
        const f = sigmoid(gates[a + H + j]!);
        const g = Math.tanh(gates[a + 2 * H + j]!);
        const o = sigmoid(gates[a + 3 * H + j]!);
        gates[a + j] = i;
        gates[a + H + j] = f;
        gates[a + 2 * H + j] = g;
        gates[a + 3 * H + j] = o;
        c[after + j] = f * c[before + j]! + i * g;
        h[after + j] = o * Math.tanh(c[after + j]!);
      }
    }
  }

  /** The mean cross-entropy over the last layer's outputs, and its gradient as that layer's upstream. */
  #loss({ h, upstream }: Layer): number {
    const { batch: r, unroll: T, hidden: H, vocabulary: V } = this.#sizes;
    const rows = T * r;
    const logits = new Float32Array(V);
    let total = 0;
    for (let n = 0; n < rows; n++) {
      const at = (n + r) * H;
      logits.set(this.#headBias.value);
      for (let k = 0; k < H; k++) addScaled(logits, 0, h[at + k]!, this.#head.value, k * V, V);
      const target = this.#batch.targets[n]!;
      let largest = logits[0]!;
      for (let v = 1; v < V; v++) largest = Math.max(largest, logits[v]!);
      const own = logits[target]! - largest;
      let sum = 0;
      for (let v = 0; v < V; v++) sum += logits[v] = Math.exp(logits[v]! - largest);
      total += Math.log(sum) - own;
      for (let v = 0; v < V; v++) logits[v] = logits[v]! / sum / rows;
      logits[target] = logits[target]! - 1 / rows;
      addScaled(this.#headBias.gradient, 0, 1, logits, 0, V);
      for (let k = 0; k < H; k++) {
        upstream[n * H + k] = dot(this.#head.value, k * V, logits, 0, V);
        addScaled(this.#head.gradient, k * V, h[at + k]!, logits, 0, V);
      }
    }
    return total / rows;
  }

  #backward(layer: Layer, below: Layer | undefined): void {
    const { batch: r, unroll: T, hidden: H } = this.#sizes;
    const { gates, h, c, features, upstream } = layer;
    const G = 4 * H;
    // dE/dh and dE/dc that later times send back, for each sample.
    const dh = new Float32Array(r * H);
    const dc = new Float32Array(r * H);
    const da = new Float32Array(G);
    for (let n = T * r - 1; n >= 0; n--) {
      const sample = (n % r) * H;
      const before = n * H;
      const after = (n + r) * H;
      for (let j = 0; j < H; j++) {
        const i = gates[n * G + j]!;
        const f = gates[n * G + H + j]!;
        const g = gates[n * G + 2 * H + j]!;
        const o = gates[n * G + 3 * H + j]!;
        const tanh = Math.tanh(c[after + j]!);
        const toH = upstream[before + j]! + dh[sample + j]!;
        const toC = dc[sample + j]! + toH * o * (1 - tanh * tanh);
        da[j] = toC * g * i * (1 - i);
        da[H + j] = toC * c[before + j]! * f * (1 - f);
        da[2 * H + j] = toC * i * (1 - g * g);
        da[3 * H + j] = toH * tanh * o * (1 - o);
        dc[sample + j] = toC * f;
      }
      addScaled(layer.inputBias.gradient, 0, 1, da, 0, G);
      addScaled(layer.recurrentBias.gradient, 0, 1, da, 0, G);
      for (let k = 0; k < H; k++) {
        addScaled(layer.recurrent.gradient, k * G, h[before + k]!, da, 0, G);
        dh[sample + k] = dot(layer.recurrent.value, k * G, da, 0, G);
      }
      if (below === undefined) {
        addScaled(layer.input.gradient, this.#batch.characters[n]! * G, 1, da, 0, G);
        continue;
      }
      for (let k = 0; k < features; k++) {
        addScaled(layer.input.gradient, k * G, below.h[after + k]!, da, 0, G);
        below.upstream[before + k] = dot(layer.input.value, k * G, da, 0, G);
      }
    }
  }
}
