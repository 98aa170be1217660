/** Compiled shaders, each once: equal code is an equal pipeline. */
import type { Kernel } from '../../../kernels/kernel.js';
import { KronogradError } from '../../errors.js';
import type { Device } from './device.js';

/** WGSL with line numbers, and a compiler's messages under the lines they are about. */
export function annotate(code: string, messages: readonly GPUCompilationMessage[]): string {
  return code
    .split('\n')
    .flatMap((text, index) => {
      const notes = messages
        .filter(({ lineNum }) => lineNum === index + 1)
        .map(({ type, message, linePos }) => `     ${' '.repeat(Math.max(0, linePos))}^ ${type}: ${message}`);
      return [`${String(index + 1).padStart(4)}  ${text}`, ...notes];
    })
    .join('\n');
}

/** A pipeline and the layout its bind groups need. Equal layouts are the same object. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export class Pipelines {
  readonly #device: Device;
  readonly #compiled = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(device: Device) {
    this.#device = device;
  }

  /** Distinct pipelines made so far. */
  get count(): number {
    return this.#compiled.size;
  }

  /**
   * The pipeline of a kernel, compiled in the background the first time.
   * @param label names the stage in errors.
   * @throws KronogradError KERNEL with the numbered WGSL when it does not compile.
   */
  get(kernel: Kernel, label: string): Promise<Pipeline> {
    let made = this.#compiled.get(kernel.code);
    if (made === undefined) {
      made = this.#compile(kernel, label);
      this.#compiled.set(kernel.code, made);
      made.catch(() => this.#compiled.delete(kernel.code));
    }
    return made;
  }

  async #compile(kernel: Kernel, label: string): Promise<Pipeline> {
    const { gpu } = this.#device;
    const { code } = kernel;
    gpu.pushErrorScope('validation');
    const module = gpu.createShaderModule({ code, label });
    const invalid = gpu.popErrorScope();
    const { messages } = await module.getCompilationInfo();
    const error = await invalid;
    const errors = messages.filter(({ type }) => type === 'error');
    const fail = (what: string, cause?: unknown) =>
      new KronogradError('KERNEL', `the shader of '${label}' ${what}`, {
        where: `\n${annotate(code, errors)}`,
        fix: 'this is a defect of kronograd, or of the GPU’s driver: please report it with this text',
        cause,
      });
    if (error !== null || errors.length > 0)
      throw fail(`does not compile: ${errors[0]?.message ?? error?.message}`);
    const layout = this.#layout(kernel);
    try {
      const pipeline = await this.#device.until(
        gpu.createComputePipelineAsync({
          label,
          layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
          compute: { module, entryPoint: 'main' },
        }),
      );
      return { pipeline, layout };
    } catch (cause) {
      this.#device.check(); // a lost device explains itself
      throw fail(`makes no pipeline: ${(cause as Error).message}`, cause);
    }
  }

  #layout({ bindings, usesTime }: Kernel): GPUBindGroupLayout {
    const key = bindings.map(({ access }) => access).join() + (usesTime ? ',time' : '');
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const entries: GPUBindGroupLayoutEntry[] = bindings.map(({ access }, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
      }));
      if (usesTime)
        entries.push({
          binding: bindings.length,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: 4 },
        });
      layout = this.#device.gpu.createBindGroupLayout({ label: key, entries });
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}
