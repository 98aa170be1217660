/** What measuring finds where rules estimate, for people: the table of `kronograd bench tune`. */
import type { TuningStore } from '../backend/webgpu/tuning/store.js';
import { tunedDevice } from '../backend/webgpu/tuning/tuned-device.js';
import { type Measurement, Tuner } from '../backend/webgpu/tuning/tuner.js';
import type { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import { schedule } from '../schedule/index.js';
import { type Place, placeOf } from './place.js';
import { markdownTable } from './table.js';
import type { Work } from './work.js';

export interface TuningResult extends Measurement, Place {}

/** Somebody waits for the table. */
const MILLISECONDS = 120_000;

/** Measures all of a step anew, whatever is known, and replaces what the store has. */
export async function measureTuning(
  backend: WebGpuBackend,
  work: Work,
  store: TuningStore,
): Promise<TuningResult[]> {
  const results: TuningResult[] = [];
  const fresh: TuningStore = {
    get: async () => undefined,
    set: (key, value) => store.set(key, value),
  };
  const tuner = new Tuner(
    tunedDevice(backend.device, backend.description),
    { store: fresh, milliseconds: MILLISECONDS },
    (measurement) => results.push({ ...placeOf(backend), ...measurement }),
  );
  await tuner.tune(schedule(work.program), 'auto');
  return results;
}

const figures = (milliseconds: number): string => milliseconds.toPrecision(3);

export const tuningTable = (results: readonly Measurement[]): string =>
  markdownTable([
    ['what', 'rule ms', 'best ms', 'ratio', 'by'],
    ...results.map(({ what, rule, best, choice }) => {
      const ratio = `${(rule / best).toFixed(2)}x`;
      return [what, figures(rule), figures(best), ratio, rule === best ? 'the rule' : choice];
    }),
  ]);
