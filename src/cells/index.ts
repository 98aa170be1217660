/** Every cell by its name. */
import { KronogradError } from '../errors.js';
import { augmentedLstm } from './augmented-lstm.js';
import { canonicalRnn } from './canonical-rnn.js';
import type { Cell } from './cell.js';
import { gru } from './gru.js';
import { layerNormLstm } from './layer-norm-lstm.js';
import { lstm } from './lstm.js';
import { multiHeadLstm } from './multi-head-lstm.js';
import { naumovRnn } from './naumov-rnn.js';
import { palRnn } from './pal-rnn.js';
import { peepholeLstm } from './peephole-lstm.js';
import { reluRnn } from './relu-rnn.js';
import { rnn, rnnRelu } from './rnn.js';
import { standardRnn } from './standard-rnn.js';
import { vanillaLstm } from './vanilla-lstm.js';

const all: readonly Cell[] = [
  lstm,
  gru,
  rnn,
  rnnRelu,
  naumovRnn(),
  standardRnn(),
  canonicalRnn(),
  vanillaLstm,
  augmentedLstm(),
  palRnn(),
  reluRnn,
  peepholeLstm,
  layerNormLstm,
  multiHeadLstm(),
];

export const cells: Readonly<Record<string, Cell>> = Object.fromEntries(all.map((cell) => [cell.name, cell]));

/** @throws KronogradError OPTION for an unknown name. */
export function cellNamed(name: string): Cell {
  const cell = Object.hasOwn(cells, name) ? cells[name] : undefined;
  if (cell === undefined)
    throw new KronogradError('OPTION', `there is no cell '${name}'`, {
      where: 'cell',
      fix: `use one of: ${Object.keys(cells).join(', ')}`,
    });
  return cell;
}
