/** What an adapter's fixed costs are: for judging how few dispatches, passes, submits and readbacks a step should have. */
import { type ProbedCosts, probe } from '../backend/webgpu/probe.js';
import type { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import { type Place, placeInWords, placeOf } from './place.js';
import { markdownTable } from './table.js';

export interface ProbeResult extends Place {
  readonly name: 'probes';
  /** Microseconds. */
  readonly dispatch_us: number;
  readonly pass_us: number;
  readonly submit_us: number;
  readonly readback_us: number;
}

/** Takes some tenths of a second. @throws KronogradError DEVICE_LOST */
export async function measureProbes(backend: WebGpuBackend): Promise<ProbeResult> {
  const { dispatch, pass, submit, readback }: ProbedCosts = await probe(backend.device);
  return {
    name: 'probes',
    ...placeOf(backend),
    ...{ dispatch_us: dispatch, pass_us: pass, submit_us: submit, readback_us: readback },
  };
}

export function probesTable(results: readonly ProbeResult[]): string {
  const microseconds = (value: number) => `${value.toPrecision(3)} us`;
  return markdownTable([
    ['adapter', 'a dispatch', 'a pass', 'a submit', 'a readback'],
    ...results.map((result) => [
      placeInWords(result),
      ...[result.dispatch_us, result.pass_us, result.submit_us, result.readback_us].map(microseconds),
    ]),
  ]);
}
