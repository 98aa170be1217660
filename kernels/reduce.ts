/** Generates shaders/reduce.wgsl. */
import source from '../shaders/reduce.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import type { Bindings } from './bindings.js';
import { type Body, type Share, tiling } from './body.js';
import type { KernelLimits } from './kernel.js';
import { indicesOf, mapIndices, scalarStatements } from './scalars.js';
import type { Affine, ReduceStage } from './stage.js';
import { fillTemplate } from './template.js';
import { powerOfTwoFrom } from './workgroups.js';

/**
 * Outputs and lanes of a workgroup. A contiguous kept axis wants a run of outputs side by side; whatever the
 * outputs cannot use goes to lanes, and the other way round.
 */
function split(kept: number, reduced: number, keptIsContiguous: boolean, threads: number) {
  const most = (n: number, room: number) => Math.min(powerOfTwoFrom(n), room);
  if (keptIsContiguous) {
    const outputs = most(kept, 32);
    const lanes = most(reduced, threads / outputs);
    return { outputs: most(kept, threads / lanes), lanes };
  }
  const lanes = most(reduced, threads);
  return { outputs: most(kept, threads / lanes), lanes };
}

/** The same for a workgroup of a given size: all of its invocations, and as many outputs as divide a tile. */
function splitShared(ofTile: number, reduced: number, keptIsContiguous: boolean, { threads, tile }: Share) {
  const alone = split(ofTile, reduced, keptIsContiguous, threads).outputs;
  const outputs = tile === null ? alone : Math.min(alone, ofTile & -ofTile);
  return { outputs, lanes: threads / outputs };
}

export function reduceBody(
  stage: ReduceStage,
  bindings: Bindings,
  limits: KernelLimits,
  share?: Share,
): Body {
  const outer = stage.kept.length;
  const indices = indicesOf(stage.scalars);
  const part =
    (from: number, to?: number) =>
    <T extends Affine>(index: T): T => ({ ...index, strides: index.strides.slice(from, to) });
  const tile = share?.tile ?? null;
  const keptIndices = [...indices.map(part(0, outer)), ...stage.stores];
  const keptDomain = collapseAxes(stage.kept, keptIndices, tile?.axis);
  const reducedDomain = collapseAxes(stage.reduced, indices.map(part(outer)));
  const narrow = <T extends Affine>(index: T): T => ({
    ...index,
    strides: [
      ...keptDomain.narrow(part(0, outer)(index)).strides,
      ...reducedDomain.narrow(part(outer)(index)).strides,
    ],
  });

  const [outputPlaces, outputAxes] = unravel('output', keptDomain.shape, 'i');
  const [elementPlaces, elementAxes] = unravel('element', reducedDomain.shape, 'j');
  const scalars = mapIndices(stage.scalars, narrow);
  const statements = scalarStatements(scalars, [stage.value], [...outputAxes, ...elementAxes], bindings);
  const stores = stage.stores.map((ref) => bindings.store(keptDomain.narrow(ref), outputAxes, 'sum'));

  const kept = product(keptDomain.shape);
  const reduced = product(reducedDomain.shape);
  const innermostKept = outputAxes.length - 1;
  const keptIsContiguous = indicesOf(scalars).some(({ strides }) => strides[innermostKept] === 1);
  const { ofTile, tiles } = tiling(kept, stage.kept[tile?.axis ?? 0] ?? 1, tile);
  const { outputs, lanes } =
    share === undefined
      ? split(kept, reduced, keptIsContiguous, Math.min(256, limits.maxComputeInvocationsPerWorkgroup))
      : splitShared(ofTile, reduced, keptIsContiguous, share);
  return {
    threads: outputs * lanes,
    groups: tiles * Math.ceil(ofTile / outputs),
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants: [
          `const KEPT = ${kept};`,
          `const REDUCED = ${reduced};`,
          `const OUTPUTS = ${outputs};`,
          `const LANES = ${lanes};`,
        ],
        value: [
          'fn value(output: i32, element: i32) -> f32 {',
          ...[...outputPlaces, ...elementPlaces, ...statements, `return s${stage.value};`].map(
            (line) => `  ${line}`,
          ),
          '}',
        ],
        place: keptIsContiguous
          ? ['let lane = thread / OUTPUTS;', 'let slot = thread % OUTPUTS;']
          : ['let lane = thread % LANES;', 'let slot = thread / LANES;'],
        stores: [...outputPlaces, ...stores],
      }),
  };
}
