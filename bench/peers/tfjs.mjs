/**
 * TensorFlow.js. The layer is written in its ops rather than taken from tf.layers, whose LSTM has no second
 * bias and does the input product step by step: here it leaves the loop, which is faster.
 */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { installWebGpu, serve } from './serve.mjs';

const require = createRequire(import.meta.url);

async function open(backend) {
  let adapter = 'CPU, one thread';
  if (backend === 'wasm') {
    const { setThreadsCount, setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
    setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
    setThreadsCount(1);
    adapter = 'CPU, WebAssembly SIMD, one thread';
  } else if (backend === 'webgpu') {
    adapter = await installWebGpu();
    await import('@tensorflow/tfjs-backend-webgpu');
  }
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no backend '${backend}' here`);
  await tf.ready();
  return adapter;
}

serve(async ({ backend, workload, weights, batch }) => {
  const adapter = await open(backend);
  const { batch: r, unroll: T, hidden: H, vocabulary: V } = workload;
  const layers = weights.layers.map(({ input, recurrent }) => ({
    input: tf.variable(tf.tensor2d(input, [input.length / (4 * H), 4 * H])),
    recurrent: tf.variable(tf.tensor2d(recurrent, [H, 4 * H])),
    inputBias: tf.variable(tf.zeros([4 * H])),
    recurrentBias: tf.variable(tf.zeros([4 * H])),
  }));
  const head = tf.variable(tf.tensor2d(weights.head, [H, V]));
  const headBias = tf.variable(tf.zeros([V]));
  const variables = [...layers.flatMap((layer) => Object.values(layer)), head, headBias];
  const oneHot = (ids) => tf.oneHot(tf.tensor1d(ids, 'int32'), V).toFloat();
  const x = tf.keep(oneHot(batch.characters));
  const y = tf.keep(oneHot(batch.targets));
  const zeros = tf.keep(tf.zeros([r, H]));
  const optimizer = tf.train.adam(0.001, 0.9, 0.999, 1e-8);

  const loss = () => {
    let sequence = x;
    for (const { input, recurrent, inputBias, recurrentBias } of layers) {
      const hoisted = sequence.matMul(input).add(inputBias.add(recurrentBias));
      const steps = tf.split(hoisted, T, 0);
      let [h, c] = [zeros, zeros];
      const outputs = steps.map((step) => {
        const [i, f, g, o] = tf.split(step.add(h.matMul(recurrent)), 4, 1);
        c = f.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
        h = o.sigmoid().mul(c.tanh());
        return h;
      });
      sequence = tf.concat(outputs, 0);
    }
    return tf.losses.softmaxCrossEntropy(y, sequence.matMul(head).add(headBias)).asScalar();
  };
  return {
    engine: `TensorFlow.js ${tf.version.tfjs}`,
    adapter,
    async step() {
      const value = optimizer.minimize(loss, true, variables);
      const [number] = await value.data();
      value.dispose();
      return number;
    },
  };
});
