/** Generates shaders/pointwise.wgsl. */
import source from '../shaders/pointwise.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import type { Bindings } from './bindings.js';
import { type Body, type Share, tiling } from './body.js';
import type { KernelLimits } from './kernel.js';
import { quadsAlong, wholeQuads } from './quads.js';
import { indicesOf, mapIndices, scalarStatements } from './scalars.js';
import type { PointwiseStage } from './stage.js';
import { fillTemplate } from './template.js';
import { powerOfTwoFrom } from './workgroups.js';

export function pointwiseBody(
  stage: PointwiseStage,
  bindings: Bindings,
  limits: KernelLimits,
  share?: Share,
): Body {
  const tile = share?.tile ?? null;
  const firstAxis = tile?.axis ?? 0;
  const indices = [...indicesOf(stage.scalars), ...stage.stores.map(({ ref }) => ref)];
  const domain = collapseAxes(stage.shape, indices, firstAxis);
  const scalars = mapIndices(stage.scalars, domain.narrow);
  const stores = stage.stores.map(({ ref, value }) => ({ ref: domain.narrow(ref), value }));

  // Of a few elements each has an invocation of its own: there is room for all beside each other.
  const last = domain.shape.length - 1;
  const refs = stores.map(({ ref }) => ref);
  const wanted =
    product(domain.shape) < limits.parallelInvocations
      ? undefined
      : quadsAlong(last, domain.shape[last], scalars, refs, bindings);
  const byQuads = bindings.areQuads(wanted);
  const each = byQuads ? 4 : 1;
  const [places, axes] = unravel('element', domain.shape, 'i', each);
  const statements = scalarStatements(
    scalars,
    stores.map(({ value }) => value),
    axes,
    bindings,
    { quadAxis: byQuads ? last : undefined },
  );
  const stored = stores.map(({ ref, value }) =>
    byQuads ? bindings.storeQuad(ref, axes, `s${value}`) : bindings.store(ref, axes, `s${value}`),
  );

  const elements = product(domain.shape) / each;
  const threads =
    share?.threads ?? Math.min(256, limits.maxComputeInvocationsPerWorkgroup, powerOfTwoFrom(elements));
  const { ofTile, tiles } = tiling(elements, stage.shape[firstAxis] ?? 1, tile);
  const groupsOfTile = Math.ceil(ofTile / threads);
  return {
    threads,
    groups: tiles * groupsOfTile,
    quads: wholeQuads(wanted, true),
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants: [`const ELEMENTS = ${elements};`, `const THREADS = ${threads};`],
        place: tile === null ? anywhere : inTile(ofTile, groupsOfTile),
        element: [...places, ...statements, ...stored],
      }),
  };
}

const anywhere = [
  'let element = workgroup * THREADS + thread;',
  'if (element >= ELEMENTS) {',
  '  return;',
  '}',
];

const inTile = (elements: number, groups: number) => [
  `let place = workgroup % ${groups} * THREADS + thread;`,
  `let element = workgroup / ${groups} * ${elements} + place;`,
  `if (place >= ${elements} || element >= ELEMENTS) {`,
  '  return;',
  '}',
];
