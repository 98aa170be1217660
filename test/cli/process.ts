/** The command as users run it: built, and in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { withoutDawnWarnings } from '../support/dawn-warnings.js';

const root = resolve(import.meta.dirname, '../..');

/** Builds the command and returns its file. Within the checkout, where its packages are found. */
export async function buildCommand(): Promise<{ command: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(root, '.cache', 'command-'));
  await build({
    entryPoints: [join(root, 'src/cli/main.ts')],
    outfile: join(folder, 'cli.js'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    packages: 'external',
    loader: { '.wgsl': 'text' },
    logLevel: 'error',
  });
  return { command: join(folder, 'cli.js'), remove: () => rm(folder, { recursive: true, force: true }) };
}

export interface Running {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly out: () => string;
  readonly ended: Promise<Ended>;
}

export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Starts the command in a folder. */
export function start(
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): Running {
  const child = spawn(process.execPath, [command, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = new Promise<Ended>((settle) =>
    child.once('close', (exitCode, signal) =>
      settle({ exitCode, signal, out, err: withoutDawnWarnings(err) }),
    ),
  );
  return { child, out: () => out, ended };
}
