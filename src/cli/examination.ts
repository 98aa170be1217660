/** What there is on this machine to compute on, found out by trying it. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import { version } from '../../package.json';
import { openBackend } from '../backend/open-node.js';
import { type AdapterDescription, describeAdapter, requestAdapter } from '../backend/webgpu/adapter.js';
import { type DawnOptions, dawnToggles, loadDawn } from '../backend/webgpu/dawn.js';
import { Device } from '../backend/webgpu/device.js';
import { type ProbedCosts, probe } from '../backend/webgpu/probe.js';
import { TuningFile } from '../backend/webgpu/tuning/file-store-node.js';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';

export interface Examination {
  readonly kronograd: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: { readonly model: string; readonly processors: number };
  /** The version of the npm package `webgpu`; null where it is not installed. */
  readonly dawn: string | null;
  /** Of Dawn, that are on. */
  readonly toggles: readonly string[];
  /** The cache of what was measured: where it is, how many entries it has, and what is wrong with it. */
  readonly tuning: { readonly path: string; readonly entries: number; readonly problem: string | null };
  readonly adapters: readonly ExaminedAdapter[];
  /** Why there is no adapter; null when there is one. */
  readonly problem: Problem | null;
  readonly backends: {
    /** What `--backend auto` means here. */
    readonly auto: { readonly name: string; readonly description: string; readonly reason: string };
    /** What `--backend cpu` means here. */
    readonly cpu: { readonly description: string };
  };
}

export interface ExaminedAdapter extends AdapterDescription {
  /** Microseconds; null where no device could be had, and then why. */
  readonly costs: ProbedCosts | null;
  readonly problem: Problem | null;
}

/** A typed error as data. */
export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly where: string | null;
  readonly fix: string | null;
}

/** Throws nothing that a machine could be the reason of. */
export async function examine(options: DawnOptions = {}): Promise<Examination> {
  const { adapters, problem } = await examineWebGpu(options);
  const auto = await describe('auto', options);
  const { description } = await describe('cpu', options);
  return {
    kronograd: version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cpu: { model: cpus()[0]?.model.trim() ?? 'unknown', processors: availableParallelism() },
    dawn: await dawnVersion(),
    toggles: dawnToggles(options),
    tuning: await examineTuning(),
    adapters,
    problem,
    backends: { auto, cpu: { description } },
  };
}

async function examineTuning(): Promise<Examination['tuning']> {
  let problem: string | null = null;
  const { path, size } = await TuningFile.open({ warn: (message) => (problem = message) });
  return { path, entries: size, problem };
}

async function describe(choice: 'auto' | 'cpu', options: DawnOptions) {
  const { backend, reason } = await openBackend(choice, options);
  using opened = backend;
  return { name: opened.name, description: opened.description, reason };
}

/** All ways to ask for an adapter: a machine with two GPUs gives different ones. */
const REQUESTS: readonly GPURequestAdapterOptions[] = [
  { powerPreference: 'high-performance' },
  { powerPreference: 'low-power' },
  { forceFallbackAdapter: true },
];

async function examineWebGpu(options: DawnOptions): Promise<Pick<Examination, 'adapters' | 'problem'>> {
  const adapters = new Map<string, ExaminedAdapter>();
  try {
    const dawn = await loadDawn(options);
    for (const request of REQUESTS) {
      const adapter = await dawn.requestAdapter(request);
      if (adapter === null) continue;
      const description = describeAdapter(adapter);
      const { vendor, architecture, device, description: driver } = description;
      const key = [vendor, architecture, device, driver].join('\n');
      if (!adapters.has(key)) adapters.set(key, { ...description, ...(await measure(adapter)) });
    }
    // Says what to install, and where it looked.
    if (adapters.size === 0) await requestAdapter(dawn);
  } catch (error) {
    return { adapters: [...adapters.values()], problem: problemOf(error) };
  }
  return { adapters: [...adapters.values()], problem: null };
}

async function measure(adapter: GPUAdapter): Promise<Pick<ExaminedAdapter, 'costs' | 'problem'>> {
  try {
    using device = await Device.request(adapter);
    return { costs: await probe(device), problem: null };
  } catch (error) {
    return { costs: null, problem: problemOf(error) };
  }
}

function problemOf(error: unknown): Problem {
  if (!(error instanceof KronogradError)) throw error;
  const { code, message, where, fix } = error;
  return { code, message, where: where ?? null, fix: fix ?? null };
}

async function dawnVersion(): Promise<string | null> {
  try {
    const path = createRequire(import.meta.url).resolve('webgpu/package.json');
    const manifest: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isRecord(manifest) && typeof manifest.version === 'string' ? manifest.version : null;
  } catch {
    return null;
  }
}
