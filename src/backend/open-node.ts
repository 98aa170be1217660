/** Choosing a backend in Node. Not for browsers. */
import { availableParallelism, loadavg } from 'node:os';
import { KronogradError } from '../errors.js';
import type { Backend } from './backend.js';
import { Float32Backend } from './cpu/float32-backend.js';
import { startNodeWorker } from './cpu/workers-node.js';
import { adapterName, describeAdapter, requestAdapter } from './webgpu/adapter.js';
import { createDawnBackend, type DawnOptions, loadDawn } from './webgpu/dawn.js';
import type { TuningOptions } from './webgpu/tuning/store.js';
import type { WebGpuBackend } from './webgpu/webgpu-backend.js';

/** `auto` takes a GPU when there is one; `webgpu` whatever adapter there is, also one in software. */
export type BackendChoice = 'auto' | 'webgpu' | 'cpu';

export interface OpenedBackend {
  readonly backend: Backend;
  /** Whether it computes on a real GPU. */
  readonly gpu: boolean;
  /** Why it is this one, for people. */
  readonly reason: string;
}

export interface OpenOptions extends DawnOptions {
  /** Of a real GPU. In software a kernel takes longer to compile than most choices save. */
  readonly tuning?: TuningOptions | undefined;
}

/** @throws KronogradError NO_ADAPTER when `webgpu` is asked for and there is none */
export async function openBackend(choice: BackendChoice, options: OpenOptions = {}): Promise<OpenedBackend> {
  if (choice === 'auto') return openBest(options);
  if (choice === 'cpu') return onCpu('it was asked for');
  const backend = await openWebGpu(options);
  const { isSoftware } = backend.device.adapter;
  const reason = isSoftware ? 'it was asked for; the adapter is a CPU that plays GPU' : 'it was asked for';
  return { backend, gpu: !isSoftware, reason };
}

/** @throws KronogradError NO_ADAPTER */
export async function openWebGpu({ tuning, ...options }: OpenOptions): Promise<WebGpuBackend> {
  const { isSoftware } = describeAdapter(await requestAdapter(await loadDawn(options)));
  return createDawnBackend({ ...options, tuning: isSoftware ? undefined : tuning });
}

async function openBest(options: OpenOptions): Promise<OpenedBackend> {
  try {
    const dawn = await loadDawn(options);
    const adapter = describeAdapter(await requestAdapter(dawn));
    const name = adapterName(adapter);
    if (adapter.isSoftware) return onCpu(`the only WebGPU adapter, ${name}, is software: the CPU is faster`);
    return { backend: await openWebGpu(options), gpu: true, reason: 'there is a GPU' };
  } catch (error) {
    if (!(error instanceof KronogradError)) throw error;
    return onCpu(`no GPU can be used: ${error.message}`);
  }
}

/** More threads than this gain little on matrices of a few hundred rows. */
const MOST_THREADS = 4;

/** The threads wait for each other without sleeping, so they want processors that have nothing else to do. */
const idleProcessors = (): number => Math.max(1, availableParallelism() - Math.round(loadavg()[0]!));

async function onCpu(reason: string): Promise<OpenedBackend> {
  const threads = Math.min(MOST_THREADS, idleProcessors());
  const backend =
    threads === 1 ? new Float32Backend() : await Float32Backend.threaded(threads, startNodeWorker);
  return { backend, gpu: false, reason };
}
