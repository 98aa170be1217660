/** Generates shaders/reduce.wgsl. */
import source from '../shaders/reduce.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import type { Bindings } from './bindings.js';
import { type Body, type Share, tiling } from './body.js';
import type { KernelLimits } from './kernel.js';
import { overLanes } from './lanes.js';
import { quadsAlong, wholeQuads } from './quads.js';
import { indicesOf, mapIndices, scalarStatements } from './scalars.js';
import type { Affine, ReduceStage } from './stage.js';
import { fillTemplate } from './template.js';
import { powerOfTwoFrom } from './workgroups.js';

/** Invocations of a workgroup for each that a core runs: they wait for memory, and for each other. */
const CORE_FILLED = 4;

/** Sums side by side in a workgroup where they are so in memory: a run that is read at once. */
const RUN = 32;

/** What is summed: numbers of sums and of summands, and how they lie. */
interface Extent {
  readonly kept: number;
  readonly reduced: number;
  readonly keptIsContiguous: boolean;
  /** Sums of an invocation. */
  readonly keptEach: number;
}

/**
 * Outputs and lanes of a workgroup. A contiguous kept axis wants a run of outputs side by side, and lanes as far as the
 * outputs leave invocations of the device with nothing to do; else lanes lie side by side. Whatever the outputs cannot
 * use goes to lanes, and the other way round.
 */
function split({ kept, reduced, keptIsContiguous, keptEach }: Extent, threads: number, parallel: number) {
  const most = (n: number, room: number) => Math.min(powerOfTwoFrom(n), room);
  const run = keptIsContiguous ? most(kept, Math.min(threads, RUN / keptEach)) : 1;
  const useful = keptIsContiguous ? Math.min(reduced, Math.ceil(parallel / kept)) : reduced;
  const lanes = most(useful, threads / run);
  return { outputs: most(kept, threads / lanes), lanes };
}

/** The same for a workgroup of a given size: all of its invocations, and as many outputs as divide a tile. */
function splitShared(ofTile: Extent, parallel: number, { threads, tile }: Share) {
  const alone = split(ofTile, threads, parallel).outputs;
  const outputs = tile === null ? alone : Math.min(alone, ofTile.kept & -ofTile.kept);
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
  const scalars = mapIndices(stage.scalars, narrow);
  const stores = stage.stores.map((ref) => keptDomain.narrow(ref));

  // Four neighbours as a vector are four outputs, or four elements of one.
  const lastKept = keptDomain.shape.length - 1;
  const last = lastKept + reducedDomain.shape.length;
  const keptIsContiguous = indicesOf(scalars).some(({ strides }) => strides[lastKept] === 1);
  const quadAxis = keptIsContiguous ? lastKept : last;
  const wanted = keptIsContiguous
    ? quadsAlong(lastKept, keptDomain.shape[lastKept], scalars, stores, bindings)
    : quadsAlong(last, reducedDomain.shape.at(-1), scalars, [], bindings);
  const byQuads = bindings.areQuads(wanted);
  const each = byQuads ? 4 : 1;
  const [keptEach, reducedEach] = keptIsContiguous ? [each, 1] : [1, each];

  const [outputPlaces, outputAxes] = unravel('output', keptDomain.shape, 'i', keptEach);
  const [elementPlaces, elementAxes] = unravel('element', reducedDomain.shape, 'j', reducedEach);
  const axes = [...outputAxes, ...elementAxes];
  const statements = scalarStatements(scalars, [stage.value], axes, bindings, {
    quadAxis: byQuads ? quadAxis : undefined,
  });
  const stored = stores.map((ref) =>
    keptEach === 4 ? bindings.storeQuad(ref, outputAxes, 'sum') : bindings.store(ref, outputAxes, 'sum'),
  );

  const kept = product(keptDomain.shape) / keptEach;
  const reduced = product(reducedDomain.shape) / reducedEach;
  const extent: Extent = { kept, reduced, keptIsContiguous, keptEach };
  const { ofTile, tiles } = tiling(kept, stage.kept[tile?.axis ?? 0] ?? 1, tile);
  const { maxComputeInvocationsPerWorkgroup, coreInvocations, parallelInvocations } = limits;
  const alone = Math.min(256, maxComputeInvocationsPerWorkgroup, CORE_FILLED * coreInvocations);
  const { outputs, lanes } =
    share === undefined
      ? split(extent, alone, parallelInvocations)
      : splitShared({ ...extent, kept: ofTile }, parallelInvocations, share);
  const threads = outputs * lanes;
  const sum = keptEach === 4 ? 'vec4<f32>' : 'f32';
  const { text, extensions } = overLanes({ threads, lanes }, limits, { sum });
  return {
    threads,
    groups: tiles * Math.ceil(ofTile / outputs),
    quads: wholeQuads(wanted, keptIsContiguous),
    extensions,
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants: [
          `const KEPT = ${kept};`,
          `const REDUCED = ${reduced};`,
          `const OUTPUTS = ${outputs};`,
          `const LANES = ${lanes};`,
          `alias Value = ${byQuads ? 'vec4<f32>' : 'f32'};`,
        ],
        lanes: text,
        value: [
          'fn value(output: i32, element: i32) -> Value {',
          ...[...outputPlaces, ...elementPlaces, ...statements, `return s${stage.value};`].map(
            (line) => `  ${line}`,
          ),
          '}',
        ],
        place: keptIsContiguous
          ? ['let lane = thread / OUTPUTS;', 'let slot = thread % OUTPUTS;']
          : ['let lane = thread % LANES;', 'let slot = thread / LANES;'],
        sum: [
          `let sum = row_sum(${reducedEach === 4 ? 'own.x + own.y + own.z + own.w' : 'own'}, slot * LANES + lane);`,
        ],
        stores: [...outputPlaces, ...stored],
      }),
  };
}
