/** WebGPU in Node: Dawn, from the optional peer dependency `webgpu`. Not for browsers. */
import { KronogradError } from '../../errors.js';
import { WebGpuBackend, type WebGpuOptions } from './webgpu-backend.js';

/**
 * Every kernel writes its workgroup memory before it reads it, so the zeros that WebGPU puts there first are for
 * nothing. On SwiftShader they are most of a shader's time to compile, and up to half of its time to run.
 */
const defaultToggles = ['enable-dawn-features=disable_workgroup_init'] as const;

/** One for each set of toggles, for as long as the process lives: Dawn's objects must not outlive what made them. */
const loaded = new Map<string, GPU>();

/**
 * Loads Dawn, once.
 * @param toggles Dawn's options, such as `enable-dawn-features=disable_robustness`.
 * @throws KronogradError NO_ADAPTER when the package is not installed or has no binary for this platform.
 */
export async function loadDawn(toggles: readonly string[] = defaultToggles): Promise<GPU> {
  try {
    const { create, globals } = await import('webgpu');
    // The constants (GPUBufferUsage and the like), where the standard has them.
    for (const [name, value] of Object.entries(globals))
      if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true });
    const key = toggles.join();
    const gpu = loaded.get(key) ?? create([...toggles]);
    loaded.set(key, gpu);
    return gpu;
  } catch (cause) {
    throw new KronogradError('NO_ADAPTER', `Dawn cannot be loaded: ${(cause as Error).message}`, {
      where: 'the npm package `webgpu`',
      fix: 'npm install webgpu, or use the CPU backend',
      cause,
    });
  }
}

/** A backend on Dawn. @throws KronogradError NO_ADAPTER */
export async function createDawnBackend(
  toggles?: readonly string[],
  options?: WebGpuOptions,
): Promise<WebGpuBackend> {
  return WebGpuBackend.create(await loadDawn(toggles), options);
}
