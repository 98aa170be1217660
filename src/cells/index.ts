/** Every cell by its name. */
import { KronogradError } from '../errors.js';
import type { Cell } from './cell.js';
import { lstm } from './lstm.js';

export const cells: Readonly<Record<string, Cell>> = { lstm };

/** @throws KronogradError OPTION for an unknown name. */
export function cellNamed(name: string): Cell {
  const cell = cells[name];
  if (cell === undefined)
    throw new KronogradError('OPTION', `there is no cell '${name}'`, {
      where: 'cell',
      fix: `use one of: ${Object.keys(cells).join(', ')}`,
    });
  return cell;
}
