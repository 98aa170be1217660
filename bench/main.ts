/**
 * `npm run bench [-- S M L] [options of kronograd bench] [--peers all|none|tfjs-wasm,jax-wasm,...]`: the command, with
 * peers taking turns in the same run. A peer that is not there, or cannot do the work, is skipped by name.
 */
import { join } from 'node:path';
import { BENCHMARKS } from '../src/bench/catalogue.js';
import type { Contender } from '../src/bench/contender.js';
import type { Work } from '../src/bench/work.js';
import { benchWith } from '../src/cli/bench.js';
import { type CommandRegistration, runCommandLine } from '../src/cli/program.js';
import { KronogradError } from '../src/errors.js';
import { nameOf, PEERS, Peer, type PeerName } from './peer.js';

/** Peers on WebGPU take seconds a step on a GPU in software: only when asked for. */
const BY_DEFAULT = PEERS.filter(({ backend }) => backend !== 'webgpu');

/** The bundle is in .cache/bench; the script that builds it starts it in the repository's root. */
const FOLDER = join(process.cwd(), 'bench', 'peers');

function choosePeers(list: string): readonly PeerName[] {
  if (list === 'all') return PEERS;
  if (list === 'none') return [];
  return list.split(',').map((name) => {
    const found = PEERS.find((peer) => nameOf(peer) === name);
    if (found !== undefined) return found;
    throw new KronogradError('OPTION', `there is no peer '${name}'`, {
      where: '--peers',
      fix: `use all, none, or some of ${PEERS.map(nameOf).join(',')}`,
    });
  });
}

async function startPeers(peers: readonly PeerName[], work: Work): Promise<Contender[]> {
  const started: Contender[] = [];
  for (const peer of peers)
    try {
      if (work.reference === undefined)
        throw new Error(`it is compared on the LSTM only, not on ${work.name}`);
      started.push(await Peer.start(FOLDER, peer, work.reference));
    } catch (error) {
      process.stderr.write(`skipped: ${nameOf(peer)}: ${(error as Error).message}\n`);
    }
  return started;
}

const withPeers: CommandRegistration = (program, context) => {
  benchWith((work) => startPeers(command.opts<{ peers: readonly PeerName[] }>().peers, work))(
    program,
    context,
  );
  const command = program.commands.at(-1)!;
  command.option(
    '--peers <list>',
    `all, none, or some of ${PEERS.map(nameOf).join(',')}`,
    choosePeers,
    BY_DEFAULT,
  );
};

/** `S M --json` is short for `--workload S,M --json`. */
function commandLine(args: readonly string[]): string[] {
  const firstOption = args.findIndex((arg) => arg.startsWith('-'));
  const words = firstOption < 0 ? args : args.slice(0, firstOption);
  const workloads = words.filter((word) => !BENCHMARKS.includes(word));
  return [
    'bench',
    ...words.filter((word) => BENCHMARKS.includes(word)),
    ...(workloads.length > 0 ? ['--workload', workloads.join(',')] : []),
    ...args.slice(words.length),
  ];
}

process.exitCode = await runCommandLine(commandLine(process.argv.slice(2)), [withPeers], process);
