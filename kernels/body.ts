/**
 * A stage's own part of a shader: its declarations and `fn run(workgroup: i32, thread: i32)`, which does the work of
 * one of its workgroups. What surrounds it, the frame, a shader has once: alone `main` calls `run` for the
 * dispatch's workgroups, in a composition it is called from another body's `run`.
 */
import type { Bindings } from './bindings.js';
import { calledFunctions } from './functions.js';
import type { Extension, Kernel, KernelLimits } from './kernel.js';
import type { Quads } from './quads.js';
import { foldedWorkgroup, foldWorkgroups } from './workgroups.js';

/**
 * The text of the regions that every shader has once. With subgroup matrices the bindings end with the number of an
 * invocation's subgroup, `var<private> subgroup`.
 */
export interface Frame {
  readonly bindings: readonly string[];
  readonly functions: readonly string[];
  readonly entry: readonly string[];
}

export interface Body {
  /** The shader in a frame. */
  readonly inFrame: (frame: Frame) => string;
  /** Invocations of a workgroup: `thread` is below it. */
  readonly threads: number;
  /**
   * Calls of `run` that do everything. Of tiles of rows, the calls of tile n are those from n * groups / tiles on,
   * as many as there are for each.
   */
  readonly groups: number;
  /** What it would do by fours; asked of a body whose bindings have no quads yet. */
  readonly quads?: Quads | undefined;
  /** What its text needs of WGSL beyond the core. */
  readonly extensions?: readonly Extension[];
}

/** What a stage keeps to when it shares a shader with others. */
export interface Share {
  readonly threads: number;
  /** Bytes of workgroup memory that it may have. */
  readonly room: number;
  readonly tile: RowTile | null;
}

/** The part of a stage's domain that one workgroup owns: neighbouring places along one of its axes. */
export interface RowTile {
  readonly axis: number;
  /** A power of 2. */
  readonly rows: number;
}

/**
 * Of `count` places in a stage's domain, how many are in a whole tile of its rows, and how many tiles there are. A
 * stage that is not divided is one tile.
 */
export function tiling(count: number, rows: number, tile: RowTile | null): { ofTile: number; tiles: number } {
  if (tile === null) return { ofTile: count, tiles: 1 };
  return { ofTile: (count / rows) * tile.rows, tiles: Math.ceil(rows / tile.rows) };
}

const noFrame: Frame = { bindings: [], functions: [], entry: [] };

/** The body's text by itself, to be put into another one's. */
export const bareCode = (body: Body): string => body.inFrame(noFrame);

/** What any of several bodies needs of WGSL beyond the core. */
export const extensionsOf = (bodies: readonly Body[]): Extension[] => [
  ...new Set(bodies.flatMap(({ extensions = [] }) => extensions)),
];

/** A body with the pointwise functions that it calls, the buffers, and an entry point: a shader to dispatch. */
export function kernelOf(
  body: Body,
  bindings: Bindings,
  limits: KernelLimits,
  cost: { readonly flops: number; readonly bytes: number },
): Kernel {
  const workgroups = foldWorkgroups(body.groups, limits.maxComputeWorkgroupsPerDimension);
  const [x, y, z] = workgroups;
  const extensions = new Set([...extensionsOf([body]), ...bindings.extensions(limits)]);
  const hasMatrices = extensions.has('chromium_experimental_subgroup_matrix');
  const inputs = [
    '@builtin(workgroup_id) group: vec3<u32>',
    '@builtin(local_invocation_index) thread: u32',
    ...(hasMatrices ? ['@builtin(subgroup_id) id: u32'] : []),
  ];
  const code = body.inFrame({
    bindings: [...bindings.declarations(limits), ...(hasMatrices ? ['var<private> subgroup: i32;'] : [])],
    functions: calledFunctions([bareCode(body)]),
    entry: [
      `@compute @workgroup_size(${body.threads})`,
      `fn main(${inputs.join(', ')}) {`,
      `  let workgroup = ${foldedWorkgroup(workgroups)};`,
      ...(x * y * z > body.groups ? [`  if (workgroup >= ${body.groups}) {`, '    return;', '  }'] : []),
      ...(hasMatrices ? ['  subgroup = i32(id);'] : []),
      '  run(workgroup, i32(thread));',
      '}',
    ],
  });
  const enable = [...extensions].map((extension) => `enable ${extension};\n`).join('');
  return {
    code: enable + code,
    workgroups,
    bindings: bindings.list,
    usesTime: bindings.usesUniform,
    ...cost,
  };
}
