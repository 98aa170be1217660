/** Worker threads in Node. */
import { Worker } from 'node:worker_threads';
import type { StartWorker } from './team.js';

const PRELUDE = `
  const { parentPort } = require('node:worker_threads');
  const receive = (handler) => parentPort.on('message', handler);
  const reply = (message) => parentPort.postMessage(message);
`;

/** They do not keep the process alive. */
export const startNodeWorker: StartWorker = (script) => {
  const worker = new Worker(PRELUDE + script, { eval: true });
  worker.unref();
  return {
    post: (message) => worker.postMessage(message),
    reply: () =>
      new Promise((resolve, reject) => {
        const settled = (): void => {
          worker.off('message', onMessage);
          worker.off('error', onEnd);
          worker.off('exit', onEnd);
          worker.unref();
        };
        const onMessage = (message: unknown): void => {
          settled();
          resolve(message);
        };
        const onEnd = (cause: unknown): void => {
          settled();
          reject(new Error('a worker thread ended', { cause }));
        };
        worker.on('message', onMessage);
        worker.on('error', onEnd);
        worker.on('exit', onEnd);
        // Somebody is waiting for it now.
        worker.ref();
      }),
    terminate: () => void worker.terminate(),
  };
};
