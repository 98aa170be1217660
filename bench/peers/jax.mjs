/**
 * jax-js: the whole step, with Adam, in one `jit`. It has no `lax.scan`, so the loop over time is unrolled.
 * Every operation consumes its arguments; `.ref` keeps one for another use.
 */
import { readFileSync } from 'node:fs';
import { defaultDevice, init, jit, nn, numpy as np, valueAndGrad } from '@jax-js/jax';
import { installWebGpu, serve } from './serve.mjs';

const { version } = JSON.parse(
  readFileSync(new URL('./node_modules/@jax-js/jax/package.json', import.meta.url), 'utf8'),
);

/** Adam of one parameter; a list of new value and moments. */
function adam([value, m, v], gradient, stepSize, rootCorrection) {
  const nextM = m.mul(0.9).add(gradient.ref.mul(0.1));
  const nextV = v.mul(0.999).add(gradient.ref.mul(gradient).mul(0.001));
  const root = np.sqrt(nextV.ref).div(rootCorrection).add(1e-8);
  return [value.sub(nextM.ref.div(root).mul(stepSize)), nextM, nextV];
}

serve(async ({ backend, workload, weights, batch }) => {
  const adapter = backend === 'webgpu' ? await installWebGpu() : 'CPU, WebAssembly SIMD, one thread';
  const available = await init(backend);
  if (!available.includes(backend)) throw new Error(`jax-js has no device '${backend}' here`);
  defaultDevice(backend);
  const { batch: r, unroll: T, hidden: H, vocabulary: V, layers } = workload;
  const matrix = (data, columns) => np.array(data, { shape: [data.length / columns, columns] });
  // input, recurrent and two biases of each layer; the head and its bias
  const initial = [
    ...weights.layers.flatMap(({ input, recurrent }) => [
      matrix(input, 4 * H),
      matrix(recurrent, 4 * H),
      np.zeros([4 * H]),
      np.zeros([4 * H]),
    ]),
    matrix(weights.head, V),
    np.zeros([V]),
  ];
  const oneHot = (ids) => {
    const data = new Float32Array(ids.length * V);
    ids.forEach((id, n) => (data[n * V + id] = 1));
    return matrix(data, V);
  };
  const x = oneHot(batch.characters);
  const y = oneHot(batch.targets);

  const loss = (parameters, inputs, targets) => {
    let sequence = inputs;
    for (let l = 0; l < layers; l++) {
      const [input, recurrent, inputBias, recurrentBias] = parameters.slice(4 * l, 4 * l + 4);
      const hoisted = np.matmul(sequence, input).add(inputBias.add(recurrentBias));
      const steps = np.split(hoisted, T, 0);
      let h = np.zeros([r, H]);
      let c = np.zeros([r, H]);
      const outputs = steps.map((step) => {
        const [i, f, g, o] = np.split(step.add(np.matmul(h, recurrent.ref)), 4, 1);
        c = nn
          .sigmoid(f)
          .mul(c)
          .add(nn.sigmoid(i).mul(np.tanh(g)));
        h = nn.sigmoid(o).mul(np.tanh(c.ref));
        return h.ref;
      });
      h.dispose();
      c.dispose();
      recurrent.dispose();
      sequence = np.concatenate(outputs, 0);
    }
    const [head, headBias] = parameters.slice(4 * layers);
    const logits = np.matmul(sequence, head).add(headBias);
    return nn
      .logSoftmax(logits, 1)
      .mul(targets)
      .sum()
      .mul(-1 / (T * r));
  };
  const update = jit((parameters, inputs, targets, stepSize, rootCorrection) => {
    const values = parameters.map(([value]) => value.ref);
    const [value, gradients] = valueAndGrad(loss)(values, inputs, targets);
    const next = parameters.map((each, p) => adam(each, gradients[p], stepSize.ref, rootCorrection.ref));
    stepSize.dispose();
    rootCorrection.dispose();
    return [value, next];
  });

  let parameters = initial.map((value) => [value, np.zeros(value.shape), np.zeros(value.shape)]);
  let steps = 0;
  return {
    engine: `jax-js ${version}`,
    adapter,
    async step() {
      steps++;
      const stepSize = np.array(0.001 / (1 - 0.9 ** steps));
      const rootCorrection = np.array(Math.sqrt(1 - 0.999 ** steps));
      const [value, next] = update(parameters, x.ref, y.ref, stepSize, rootCorrection);
      parameters = next;
      // It is faster when each step is awaited than when steps queue up.
      await Promise.all(parameters.flat().map((each) => each.blockUntilReady()));
      return await value.jsAsync();
    },
  };
});
