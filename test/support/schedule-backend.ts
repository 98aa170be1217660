/** The scheduler's stages behind the backends' interface, in float64: separates its mistakes from the kernels'. */
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { schedule } from '../../src/schedule/index.js';
import { runSchedule } from './run-schedule.js';

export class ScheduleBackend extends Float64Backend {
  override async compile(program: Parameters<Float64Backend['compile']>[0]) {
    const planned = schedule(program);
    const exec = await super.compile(program);
    return {
      ...exec,
      run(tensors: Parameters<typeof exec.run>[0]) {
        const t = tensors as unknown as Record<string, { data: Float64Array }>;
        const out = runSchedule(
          planned,
          Object.fromEntries(program.inputs.map(({ name }) => [name, t[name]!.data])),
        );
        for (const { name, updates } of program.outputs) t[updates ?? name]!.data.set(out[updates ?? name]!);
      },
    };
  }
}
