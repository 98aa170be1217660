/** PyTorch: `pytorch.py` in a process of its own, in the Python that $PYTHON names, or `python3`. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { serve } from './serve.mjs';

const base64 = ({ buffer, byteOffset, byteLength }) =>
  Buffer.from(buffer, byteOffset, byteLength).toString('base64');

const python = process.env.PYTHON ?? 'python3';
const script = fileURLToPath(new URL('pytorch.py', import.meta.url));

/** Starts it; what it returns sends one line and resolves to the one that comes back, or rejects with what Python said. */
function start() {
  const child = spawn(python, ['-W', 'ignore', script], { stdio: 'pipe' });
  process.on('exit', () => child.kill());
  let waiting = {};
  let ended;
  let said = '';
  const end = (reason) => {
    ended ??= new Error(reason);
    waiting.reject?.(ended);
  };
  child.on('error', () => end(`there is no ${python}`));
  child.on('close', () => end(said.trim().split('\n').at(-1)));
  child.stderr.on('data', (text) => {
    said += text;
  });
  child.stdin.on('error', () => {}); // it has ended, and says why
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { error, ...reply } = JSON.parse(line);
    if (error === undefined) waiting.resolve(reply);
    else waiting.reject(new Error(error));
  });
  return (message) =>
    new Promise((resolve, reject) => {
      waiting = { resolve, reject };
      if (ended !== undefined) reject(ended);
      else child.stdin.write(`${JSON.stringify(message)}\n`);
    });
}

serve(async ({ backend, workload, weights, batch }) => {
  const ask = start();
  const { engine, adapter } = await ask({
    device: backend,
    workload,
    weights: {
      layers: weights.layers.map(({ input, recurrent }) => ({
        input: base64(input),
        recurrent: base64(recurrent),
      })),
      head: base64(weights.head),
    },
    batch: { characters: [...batch.characters], targets: [...batch.targets] },
  });
  return { engine, adapter, run: (steps) => ask({ run: steps }) };
});
