import { bench } from './bench.js';
import { curvature } from './curvature.js';
import { diagnose } from './diagnose.js';
import { doctor } from './doctor.js';
import { evaluate } from './eval.js';
import type { CommandRegistration } from './program.js';
import { sample } from './sample.js';
import { train } from './train.js';
import { verify } from './verify.js';

/** The commands of `kronograd`, in the order of its help: one file each, registered here. */
export const COMMANDS: readonly CommandRegistration[] = [
  train,
  sample,
  evaluate,
  curvature,
  diagnose,
  doctor,
  verify,
  bench,
];
