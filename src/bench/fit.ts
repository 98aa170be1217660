/** Whether work fits a backend, found before anything is compiled. */
import { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import { KronogradError } from '../errors.js';
import type { Schedule } from '../schedule/schedule.js';
import type { BenchBackend } from './backends.js';
import type { Work } from './work.js';

/** The address space of WebAssembly, which everything on the CPU shares. */
const WASM_BYTES = 2 ** 32;

/**
 * @throws KronogradError MEMORY with the bytes needed, the bytes there are, and the sizes to make smaller.
 */
export function requireFit(backend: BenchBackend, work: Work, plan: Schedule): void {
  const [arena, ...tensors] = plan.buffers.map(({ name, length }) => ({
    name,
    bytes: 4 * length,
  }));
  const all = [{ ...arena!, name: 'the arena' }, ...tensors];
  if (backend instanceof WebGpuBackend) {
    const { maxBufferSize, maxStorageBufferBindingSize } = backend.device.gpu.limits;
    const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    const largest = all.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    if (largest.bytes > limit)
      throw tooLarge(
        work,
        backend,
        `${largest.name} needs ${largest.bytes} bytes; one buffer can have ${limit}`,
        largest.bytes / limit,
      );
  } else {
    const bytes = all.reduce((sum, each) => sum + each.bytes, 0);
    if (bytes > WASM_BYTES)
      throw tooLarge(
        work,
        backend,
        `it needs ${bytes} bytes; WebAssembly can address ${WASM_BYTES}`,
        bytes / WASM_BYTES,
      );
  }
}

function tooLarge(work: Work, backend: BenchBackend, why: string, excess: number): KronogradError {
  const sizes = Object.entries(work.sizes).map(([name, size]) => `${name} ${size}`);
  return new KronogradError('MEMORY', `${work.name} ${work.workload} does not fit: ${why}`, {
    where: `${backend.description}: ${sizes.join(', ')}`,
    fix: `make it ${excess.toPrecision(3)} times smaller: memory grows in proportion to the batch and to the unroll${suggestion(work, excess)}`,
  });
}

/** Nearly all of a training step's memory is what its steps store for each sample. */
function suggestion({ sizes: { batch } }: Work, excess: number): string {
  const fitting = batch === undefined ? 0 : Math.floor(batch / excess);
  return fitting < 1 ? '' : `; about --batch ${fitting} fits`;
}
