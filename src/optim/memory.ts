/** What optimizers of second order keep between steps, on its way out of a checkpoint. */
import type { Numbers } from '../backend/backend.js';
import { KronogradError } from '../errors.js';

/** The vectors of a memory whose names and lengths are given. @throws KronogradError CHECKPOINT */
export function vectorsOf<Name extends string>(
  memory: Readonly<Record<string, Numbers>>,
  lengths: Readonly<Record<Name, number>>,
  where: string,
): Record<Name, Numbers> {
  for (const [name, length] of Object.entries<number>(lengths)) {
    const found = memory[name]?.length;
    if (found === length) continue;
    throw new KronogradError(
      'CHECKPOINT',
      `the optimizer's "${name}" should have ${length} elements and ${found === undefined ? 'is missing' : `has ${found}`}`,
      { where, fix: 'use a checkpoint of this model and optimizer, or train anew' },
    );
  }
  return memory as Record<Name, Numbers>;
}
