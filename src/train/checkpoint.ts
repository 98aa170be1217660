import { KronogradError } from '../errors.js';
import { isRecord, type JsonRecord } from '../interop/json.js';
import { readSafetensors, type TensorMap, writeSafetensors } from '../interop/safetensors.js';

/**
 * Everything that a training run needs to continue as if it had never stopped, and its form as three files:
 *
 * - `weights.safetensors`: the parameters under PyTorch's names, readable by any safetensors reader;
 * - `training.safetensors`: the optimizer's tensors as `optimizer.<name>`, the carried state as `state.<name>`;
 * - `checkpoint.json`: the rest, and the SHA-256 of every file and of itself, so that a flipped bit is found.
 */
export interface Checkpoint {
  /** The parameters, under PyTorch's names. */
  readonly weights: TensorMap;
  readonly optimizer: OptimizerCheckpoint;
  /** The recurrent state carried from one batch to the next. */
  readonly state: TensorMap;
  /** The configuration of model and training; this module only stores it. */
  readonly config: JsonRecord;
  /** The characters, in the order of their ids. */
  readonly vocabulary: readonly string[];
  /** The states of the random generators; this module only stores them. */
  readonly generator: JsonRecord;
  readonly position: TrainingPosition;
  /** What was measured so far, oldest first. */
  readonly history: readonly MetricsEntry[];
}

export interface OptimizerCheckpoint {
  readonly name: string;
  readonly settings: JsonRecord;
  /** How many updates it has made. */
  readonly step: number;
  /** Its memory, for example Adam's `m` and `v`. */
  readonly tensors: TensorMap;
}

export interface TrainingPosition {
  /** Updates made since the start of training. */
  readonly step: number;
  /** Passes over the text that are complete. */
  readonly epoch: number;
  /** The position of the next batch in its text stream. */
  readonly batch: number;
}

/** Finite figures by name, for example `{ step: 100, loss: 2.1, validationLoss: 2.2 }`. */
export type MetricsEntry = Readonly<Record<string, number>>;

const CHECKPOINT_FORMAT = 'kronograd-checkpoint';
const CHECKPOINT_VERSION = 1;

const WEIGHTS = 'weights.safetensors';
const TRAINING = 'training.safetensors';
const MANIFEST = 'checkpoint.json';

export const CHECKPOINT_FILES = [WEIGHTS, TRAINING, MANIFEST] as const;
export type CheckpointFiles = Readonly<Record<(typeof CHECKPOINT_FILES)[number], Uint8Array>>;

/** `checkpoint.json`. */
interface Manifest {
  readonly format: string;
  readonly version: number;
  /** Of `JSON.stringify(content)`, so that the file may be laid out for people. */
  readonly sha256: string;
  readonly content: ManifestContent;
}

interface ManifestContent {
  /** The SHA-256 of each other file. */
  readonly files: Readonly<Record<typeof WEIGHTS | typeof TRAINING, string>>;
  readonly config: JsonRecord;
  readonly vocabulary: readonly string[];
  readonly optimizer: { readonly name: string; readonly settings: JsonRecord; readonly step: number };
  readonly generator: JsonRecord;
  readonly position: TrainingPosition;
  readonly history: readonly MetricsEntry[];
}

/** The checkpoint as files. Throws CHECKPOINT for a number that JSON cannot hold (NaN, infinite). */
export async function encodeCheckpoint(checkpoint: Checkpoint): Promise<CheckpointFiles> {
  const { weights, optimizer, state, config, vocabulary, generator, position, history } = checkpoint;
  const weightsFile = writeSafetensors(weights);
  const trainingFile = writeSafetensors(
    new Map([...withPrefix('optimizer.', optimizer.tensors), ...withPrefix('state.', state)]),
  );
  const { name, settings, step } = optimizer;
  const content: ManifestContent = {
    files: { [WEIGHTS]: await sha256(weightsFile), [TRAINING]: await sha256(trainingFile) },
    config,
    vocabulary,
    optimizer: { name, settings, step },
    generator,
    position,
    history,
  };
  const manifest: Manifest = {
    format: CHECKPOINT_FORMAT,
    version: CHECKPOINT_VERSION,
    sha256: await sha256(utf8(JSON.stringify(content, refuseNonFinite))),
    content,
  };
  return {
    [WEIGHTS]: weightsFile,
    [TRAINING]: trainingFile,
    [MANIFEST]: utf8(`${JSON.stringify(manifest, null, 2)}\n`),
  };
}

/**
 * The checkpoint in the given files, verified against its digests. Throws CHECKPOINT, naming the file, for
 * damage of any kind, another format and another version. `where` names the place the files came from.
 */
export async function decodeCheckpoint(files: CheckpointFiles, where: string): Promise<Checkpoint> {
  const { files: digests, optimizer, ...rest } = await readManifest(files[MANIFEST], `${where}/${MANIFEST}`);
  for (const file of [WEIGHTS, TRAINING] as const) {
    if ((await sha256(files[file])) !== digests[file]) {
      throw damaged('its SHA-256 is not the one that was saved', `${where}/${file}`);
    }
  }
  const training = readSafetensors(files[TRAINING], `${where}/${TRAINING}`).tensors;
  return {
    ...rest,
    weights: readSafetensors(files[WEIGHTS], `${where}/${WEIGHTS}`).tensors,
    optimizer: { ...optimizer, tensors: withoutPrefix('optimizer.', training) },
    state: withoutPrefix('state.', training),
  };
}

/**
 * Checks that a saved configuration and a wanted one agree in the given keys (those that make the model what
 * it is). Throws CHECKPOINT naming every key that differs, with both values.
 */
export function requireSameConfig(
  saved: JsonRecord,
  wanted: JsonRecord,
  keys: readonly string[],
  where: string,
): void {
  const differences = keys
    .filter((key) => JSON.stringify(saved[key]) !== JSON.stringify(wanted[key]))
    .map((key) => `${key} is ${JSON.stringify(saved[key])} there, ${JSON.stringify(wanted[key])} here`);
  if (differences.length === 0) return;
  throw new KronogradError('CHECKPOINT', `the checkpoint is of another model: ${differences.join('; ')}`, {
    where,
    fix: "use the checkpoint's own values, or train into another folder",
  });
}

async function readManifest(bytes: Uint8Array, where: string): Promise<ManifestContent> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw damaged('it is not JSON', where, cause);
  }
  if (!isRecord(value) || value.format !== CHECKPOINT_FORMAT) {
    throw new KronogradError('CHECKPOINT', 'this is not a Kronograd checkpoint', {
      where,
      fix: 'give a folder that `train` has written',
    });
  }
  if (value.version !== CHECKPOINT_VERSION) {
    const what = `the checkpoint has version ${JSON.stringify(value.version)}, this program reads version ${CHECKPOINT_VERSION}`;
    throw new KronogradError('CHECKPOINT', what, {
      where,
      fix: 'use the release of kronograd that wrote it, or train anew',
    });
  }
  const { sha256: digest, content } = value;
  if (digest !== (await sha256(utf8(JSON.stringify(content) ?? '')))) {
    throw damaged('its SHA-256 is not the one that was saved', where);
  }
  if (!isContent(content)) throw damaged('a field is missing or of the wrong type', where);
  return content;
}

/** What the digest cannot promise: that whoever wrote the file wrote all of it. */
function isContent(value: unknown): value is ManifestContent {
  if (!isRecord(value)) return false;
  const { files, config, vocabulary, optimizer, generator, position, history } = value;
  return (
    isRecord(files) &&
    isRecord(config) &&
    Array.isArray(vocabulary) &&
    vocabulary.every((character) => typeof character === 'string') &&
    isRecord(optimizer) &&
    typeof optimizer.name === 'string' &&
    isRecord(optimizer.settings) &&
    isCount(optimizer.step) &&
    isRecord(generator) &&
    isRecord(position) &&
    isCount(position.step) &&
    isCount(position.epoch) &&
    isCount(position.batch) &&
    Array.isArray(history) &&
    history.every((entry) => isRecord(entry) && Object.values(entry).every(Number.isFinite))
  );
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A JSON replacer: `JSON.stringify` would silently write null for these numbers. */
function refuseNonFinite(key: string, value: unknown): unknown {
  if (typeof value !== 'number' || Number.isFinite(value)) return value;
  throw new KronogradError('CHECKPOINT', `"${key}" is ${value}, which a checkpoint cannot hold`, {
    where: MANIFEST,
    fix: 'save only states with finite figures',
  });
}

function withPrefix(prefix: string, tensors: TensorMap): TensorMap {
  return new Map([...tensors].map(([name, tensor]) => [prefix + name, tensor]));
}

function withoutPrefix(prefix: string, tensors: TensorMap): TensorMap {
  const chosen = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(chosen.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

/** The SHA-256 of bytes in hexadecimal. @throws KronogradError CHECKPOINT on a page without WebCrypto. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const subtle = globalThis.crypto?.subtle;
  if (subtle === undefined) {
    throw new KronogradError('CHECKPOINT', 'checkpoints need WebCrypto, which this page does not have', {
      where: 'globalThis.crypto.subtle',
      fix: 'serve the page over https or from localhost: browsers keep WebCrypto from other pages',
    });
  }
  // The cast: WebCrypto refuses shared memory, and these bytes are never in any.
  const digest = await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function damaged(what: string, where: string, cause?: unknown): KronogradError {
  return new KronogradError('CHECKPOINT', `the checkpoint is damaged: ${what}`, {
    where,
    fix: 'use the previous checkpoint or another copy',
    cause,
  });
}
