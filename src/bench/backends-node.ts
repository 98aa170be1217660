/** Opening what is to be timed, in Node. */
import { availableParallelism } from 'node:os';
import { Float32Backend } from '../backend/cpu/float32-backend.js';
import { startNodeWorker } from '../backend/cpu/workers-node.js';
import { openWebGpu, type OpenOptions as WebGpuOptions } from '../backend/open-node.js';
import { KronogradError } from '../errors.js';
import type { BackendName, OpenedBackend } from './backends.js';

export interface OpenOptions extends WebGpuOptions {
  /** Of the CPU backend; by default it is timed with one, and with as many as there are processors. */
  readonly threads?: number | undefined;
}

/** @throws KronogradError NO_ADAPTER when WebGPU is asked for and there is none. */
export async function openBackends(
  name: BackendName,
  { threads, ...options }: OpenOptions,
): Promise<OpenedBackend[]> {
  if (name === 'webgpu') {
    const backend = await openWebGpu(options);
    return [{ backend, gpu: !backend.device.adapter.isSoftware }];
  }
  const counts = threads === undefined ? [1, availableParallelism()] : [threads];
  const opened: OpenedBackend[] = [];
  for (const count of new Set(counts)) opened.push({ backend: await cpuBackend(count), gpu: false });
  return opened;
}

const cpuBackend = async (threads: number): Promise<Float32Backend> =>
  threads === 1 ? new Float32Backend() : Float32Backend.threaded(threads, startNodeWorker);

/** The backends of several names; one that is not there is left out, and `skip` is told. */
export async function openAvailable(
  names: readonly BackendName[],
  options: OpenOptions,
  skip: (what: string) => void,
): Promise<OpenedBackend[]> {
  const opened: OpenedBackend[] = [];
  for (const name of names)
    try {
      opened.push(...(await openBackends(name, options)));
    } catch (error) {
      if (!(error instanceof KronogradError) || error.code !== 'NO_ADAPTER') throw error;
      skip(`${name}: ${error.message}`);
    }
  return opened;
}
