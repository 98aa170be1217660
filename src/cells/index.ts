/** Every cell by its name. */
import { KronogradError } from '../errors.js';
import { attentionRnn } from './attention-rnn.js';
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
  attentionRnn,
  peepholeLstm,
  layerNormLstm,
  multiHeadLstm(),
];

const MULTI_HEAD = 'multi-head-lstm';
const AUGMENTED = 'augmented-lstm';

export const cells: Readonly<Record<string, Cell>> = Object.fromEntries(all.map((cell) => [cell.name, cell]));

export interface CellOptions {
  /** Of `multi-head-lstm`; its own default unless given. */
  readonly heads?: number | undefined;
  /** L of `augmented-lstm`: a step sees x[n], ..., x[n + L - 1]; 1 unless given. */
  readonly contextWindow?: number | undefined;
}

/** @throws KronogradError OPTION for an unknown name, and for heads or a context window of a cell that has none. */
export function cellNamed(name: string, { heads, contextWindow }: CellOptions = {}): Cell {
  if (heads !== undefined) {
    if (name === MULTI_HEAD) return multiHeadLstm({ heads });
    throw hasNone(name, 'heads', 'heads', MULTI_HEAD);
  }
  if (contextWindow !== undefined) {
    if (name === AUGMENTED) return augmentedLstm({ window: contextWindow });
    throw hasNone(name, 'context window', 'contextWindow', AUGMENTED);
  }
  const cell = Object.hasOwn(cells, name) ? cells[name] : undefined;
  if (cell === undefined)
    throw new KronogradError('OPTION', `there is no cell '${name}'`, {
      where: 'cell',
      fix: `use one of: ${Object.keys(cells).join(', ')}`,
    });
  return cell;
}

const hasNone = (name: string, what: string, where: string, instead: string): KronogradError =>
  new KronogradError('OPTION', `the cell '${name}' has no ${what}`, {
    where,
    fix: `leave it out, or use ${instead}`,
  });
