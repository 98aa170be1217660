/** Which backend a page computes on. */
import { type Backend, Float32Backend, KronogradError, WebGpuBackend } from '../../src/index.js';

export interface ChosenBackend {
  readonly backend: Backend;
  /** Why it is not the GPU, where it is not. */
  readonly note: string | null;
}

/**
 * `auto` takes the GPU where there is one, and the CPU otherwise.
 * @throws KronogradError NO_ADAPTER when `webgpu` is asked for and there is none
 */
export async function chooseBackend(choice: 'auto' | 'webgpu' | 'cpu'): Promise<ChosenBackend> {
  if (choice === 'cpu') return { backend: new Float32Backend(), note: null };
  if (choice === 'webgpu') return { backend: await WebGpuBackend.create(), note: null };
  try {
    const backend = await WebGpuBackend.create();
    const { adapter, name } = backend.device;
    if (!adapter.isSoftware) return { backend, note: null };
    backend[Symbol.dispose]();
    return onCpu(`The only WebGPU adapter, ${name}, is a CPU that plays GPU: the CPU backend is faster.`);
  } catch (error) {
    if (!(error instanceof KronogradError)) throw error;
    return onCpu(`No GPU can be used: ${error.message}. To change that, ${fixOf(error)}.`);
  }
}

const onCpu = (note: string): ChosenBackend => ({ backend: new Float32Backend(), note });

/** The advice without the CPU backend, which is what is taken. */
const fixOf = ({ fix }: KronogradError): string =>
  (fix ?? 'look at the browser’s GPU settings').replace(/,? or use the CPU backend$/, '');
