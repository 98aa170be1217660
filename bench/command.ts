/**
 * `kronograd bench` with peers taking turns in the same run. A peer that is not there, or cannot do the work,
 * is skipped by name.
 */
import type { Contender } from '../src/bench/contender.js';
import type { Work } from '../src/bench/work.js';
import { benchWith } from '../src/cli/bench.js';
import type { CommandRegistration } from '../src/cli/program.js';
import { KronogradError } from '../src/errors.js';
import { nameOf, PEERS, Peer, type PeerName } from './peer.js';

/** Peers on WebGPU take seconds a step on a GPU in software: only when asked for. */
const BY_DEFAULT = PEERS.filter(({ backend }) => backend !== 'webgpu');

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

async function startPeers(
  folder: string,
  peers: readonly PeerName[],
  work: Work,
  skip: (what: string) => void,
): Promise<Contender[]> {
  const started: Contender[] = [];
  for (const peer of peers)
    try {
      if (work.reference === undefined)
        throw new Error(`it is compared on the LSTM only, not on ${work.name}`);
      started.push(await Peer.start(folder, peer, work.reference));
    } catch (error) {
      skip(`${nameOf(peer)}: ${(error as Error).message}`);
    }
  return started;
}

/** @param folder Where the peers' scripts and packages are. */
export const benchWithPeers =
  (folder: string): CommandRegistration =>
  (program, context) => {
    const skip = (what: string) => void context.stderr.write(`skipped: ${what}\n`);
    const chosen = () => command.opts<{ peers: readonly PeerName[] }>().peers;
    benchWith((work) => startPeers(folder, chosen(), work, skip))(program, context);
    const command = program.commands.at(-1)!;
    const names = PEERS.map(nameOf).join(',');
    command.option('--peers <list>', `all, none, or some of ${names}`, choosePeers, BY_DEFAULT);
  };
