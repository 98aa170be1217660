/** Choosing a backend in Node. Not for browsers. */
import { availableParallelism, loadavg } from 'node:os';
import { KronogradError } from '../errors.js';
import type { Backend } from './backend.js';
import { Float32Backend } from './cpu/float32-backend.js';
import { startNodeWorker } from './cpu/workers-node.js';
import { adapterName, describeAdapter, requestAdapter } from './webgpu/adapter.js';
import { createDawnBackend, type DawnOptions, loadDawn } from './webgpu/dawn.js';

/** `auto` takes a GPU when there is one; `webgpu` whatever adapter there is, also one in software. */
export type BackendChoice = 'auto' | 'webgpu' | 'cpu';

export interface OpenedBackend {
  readonly backend: Backend;
  /** Whether it computes on a real GPU. */
  readonly gpu: boolean;
  /** Why it is this one, for people. */
  readonly reason: string;
}

/** @throws KronogradError NO_ADAPTER when `webgpu` is asked for and there is none */
export async function openBackend(choice: BackendChoice, options: DawnOptions = {}): Promise<OpenedBackend> {
  if (choice === 'auto') return openBest(options);
  if (choice === 'cpu') return onCpu('it was asked for');
  const backend = await createDawnBackend(options);
  const { isSoftware } = backend.device.adapter;
  const reason = isSoftware ? 'it was asked for; the adapter is a CPU that plays GPU' : 'it was asked for';
  return { backend, gpu: !isSoftware, reason };
}

async function openBest(options: DawnOptions): Promise<OpenedBackend> {
  try {
    const dawn = await loadDawn(options);
    const adapter = describeAdapter(await requestAdapter(dawn));
    const name = adapterName(adapter);
    if (adapter.isSoftware) return onCpu(`the only WebGPU adapter, ${name}, is software: the CPU is faster`);
    return { backend: await createDawnBackend(options), gpu: true, reason: 'there is a GPU' };
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
