/** Where the time of a step goes, stage by stage. */

import { type ElementBytes, elementBytes } from '../../kernels/cost.js';
import { describeTask } from '../../kernels/describe.js';
import { defaultLimits } from '../../kernels/index.js';
import { costOfTask, dispatchesOf } from '../../kernels/task.js';
import { programTensors } from '../backend/program-tensors.js';
import { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import { Scope } from '../dispose.js';
import { compose } from '../schedule/compose.js';
import { type ComposedSchedule, tasksOf } from '../schedule/composed.js';
import type { Schedule } from '../schedule/schedule.js';
import { type BenchBackend, scheduleOn } from './backends.js';
import type { Tensors, Work } from './work.js';

export interface StageProfile {
  /** What it computes, in the names of the program. */
  readonly label: string;
  /** Its kind and sizes. */
  readonly stage: string;
  readonly dispatches: number;
  readonly ms: number;
  /** Of the sum over all stages. */
  readonly share: number;
  readonly gflops: number;
  readonly gbytesPerSecond: number;
}

const ROUNDS = 7;

/**
 * The least of some steps, which other load disturbs less than the median; the slowest stage first. On WebGPU
 * each dispatch is clocked in place, and stages that share one share a line; on the CPU each stage is run alone, over
 * all its times, on an arena of zeros, which is a little kinder to caches. Null on an adapter without timestamps.
 */
export async function profileWork(backend: BenchBackend, work: Work): Promise<StageProfile[] | null> {
  const plan = scheduleOn(backend, work.program);
  using scope = new Scope();
  const tensors = programTensors(backend, work.program, scope);
  work.load(tensors);
  work.beforeStep?.(tensors, 0);
  const profiled =
    backend instanceof WebGpuBackend
      ? await clockDispatches(backend, plan, tensors)
      : { times: await runApart(backend, plan, tensors), composed: compose(plan, defaultLimits, 'none') };
  if (profiled === null) return null;
  const { times, composed } = profiled;
  const limits = backend instanceof WebGpuBackend ? backend.device.kernelLimits : defaultLimits;
  const total = [...times.values()].reduce((sum, ms) => sum + ms, 0);
  return [...mergedByLabel(composed, elementBytes(plan.buffers, limits))]
    .map(([label, { stage, dispatches, flops, bytes }]): StageProfile => {
      const ms = times.get(label) ?? 0;
      const rates = { gflops: flops / ms / 1e6, gbytesPerSecond: bytes / ms / 1e6 };
      return { label, stage, dispatches, ms, share: ms / total, ...rates };
    })
    .sort((a, b) => b.ms - a.ms);
}

interface Total {
  stage: string;
  dispatches: number;
  flops: number;
  bytes: number;
}

/** Tasks of one label are one line of the profile. */
function mergedByLabel({ steps }: ComposedSchedule, bytesOf: ElementBytes): Map<string, Total> {
  const merged = new Map<string, Total>();
  for (const step of steps)
    for (const { label, task } of tasksOf(step)) {
      const { flops, bytes } = costOfTask(task, bytesOf);
      const before = merged.get(label);
      merged.set(label, {
        stage: before?.stage ?? describeTask(task),
        dispatches: (before?.dispatches ?? 0) + (step.kind === 'loop' ? step.count : dispatchesOf(task)),
        flops: (before?.flops ?? 0) + flops,
        bytes: (before?.bytes ?? 0) + bytes,
      });
    }
  return merged;
}

async function clockDispatches(
  backend: WebGpuBackend,
  plan: Schedule,
  tensors: Tensors,
): Promise<{ times: Map<string, number>; composed: ComposedSchedule } | null> {
  using executable = await backend.compileSchedule(plan);
  await executable.profile(tensors);
  const rounds: Map<string, number>[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    const round = await executable.profile(tensors);
    if (round === null) return null;
    rounds.push(round);
  }
  const times = new Map(
    [...rounds[0]!.keys()].map((label) => [label, Math.min(...rounds.map((r) => r.get(label)!))]),
  );
  return { times, composed: executable.schedule };
}

async function runApart(
  backend: BenchBackend,
  plan: Schedule,
  tensors: Tensors,
): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const step of plan.steps)
    for (const stage of step.kind === 'loop' ? step.stages : [step]) {
      const alone = step.kind === 'loop' ? { ...step, stages: [stage] } : stage;
      using executable = await backend.compileSchedule({ ...plan, steps: [alone] });
      const rounds: number[] = [];
      for (let n = 0; n < ROUNDS; n++) {
        const begin = performance.now();
        executable.run(tensors);
        rounds.push(performance.now() - begin);
      }
      times.set(stage.label, (times.get(stage.label) ?? 0) + Math.min(...rounds));
    }
  return times;
}
