import { describe, expect, test } from 'vitest';
import type { KronogradError } from '../../src/errors.js';
import { readSafetensors } from '../../src/interop/safetensors.js';
import {
  CHECKPOINT_FILES,
  type CheckpointFiles,
  decodeCheckpoint,
  encodeCheckpoint,
  requireSameConfig,
} from '../../src/train/checkpoint.js';
import { sampleCheckpoint } from './sample-checkpoint.js';

const files = await encodeCheckpoint(sampleCheckpoint());

const withFile = (name: keyof CheckpointFiles, bytes: Uint8Array): CheckpointFiles => ({
  ...files,
  [name]: bytes,
});

function withManifest(change: (manifest: Record<string, unknown>) => void): CheckpointFiles {
  const manifest = JSON.parse(new TextDecoder().decode(files['checkpoint.json']));
  change(manifest);
  return withFile('checkpoint.json', new TextEncoder().encode(JSON.stringify(manifest)));
}

async function refusal(changed: CheckpointFiles): Promise<KronogradError> {
  const error = await decodeCheckpoint(changed, 'run').then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'KronogradError', code: 'CHECKPOINT' });
  expect((error as KronogradError).fix).toBeTruthy();
  return error as KronogradError;
}

describe('checkpoint format', () => {
  test('decoding gives back everything that was encoded', async () => {
    expect(await decodeCheckpoint(files, 'run')).toEqual(sampleCheckpoint());
  });

  test('the same checkpoint gives the same bytes', async () => {
    expect(await encodeCheckpoint(sampleCheckpoint())).toEqual(files);
  });

  test('the weights are a plain safetensors file', () => {
    const { tensors } = readSafetensors(files['weights.safetensors'], 'x');
    expect([...tensors.keys()].sort()).toEqual(['head.bias', 'rnn.weight_ih_l0']);
  });

  test.each(CHECKPOINT_FILES)('a flipped bit anywhere in %s is found, or changes nothing', async (name) => {
    for (let index = 0; index < files[name].length; index += 1) {
      const flipped = files[name].slice();
      flipped[index]! ^= 1 << (index % 8);
      try {
        expect(await decodeCheckpoint(withFile(name, flipped), 'run')).toEqual(sampleCheckpoint());
      } catch (error) {
        expect(error).toMatchObject({ name: 'KronogradError', code: 'CHECKPOINT', where: `run/${name}` });
      }
    }
  });

  test.each(CHECKPOINT_FILES)('a truncated %s is refused', async (name) => {
    for (const length of [0, 1, files[name].length >> 1, files[name].length - 2]) {
      const error = await refusal(withFile(name, files[name].slice(0, length)));
      expect(error.where).toBe(`run/${name}`);
    }
  });

  test('another version is named', async () => {
    const error = await refusal(withManifest((manifest) => Object.assign(manifest, { version: 2 })));
    expect(error.message).toBe('the checkpoint has version 2, this program reads version 1');
  });

  test('another format is refused', async () => {
    const error = await refusal(withManifest((manifest) => Object.assign(manifest, { format: 'other' })));
    expect(error.message).toContain('not a Kronograd checkpoint');
    expect((await refusal(withFile('checkpoint.json', new TextEncoder().encode('[]')))).message).toContain(
      'not a Kronograd checkpoint',
    );
  });

  test('an edited manifest is refused', async () => {
    const error = await refusal(
      withManifest(({ content }) => Object.assign(content as object, { vocabulary: ['x'] })),
    );
    expect(error.message).toContain('SHA-256');
    expect((await refusal(withManifest((manifest) => delete manifest.content))).message).toContain('SHA-256');
  });

  test('a manifest with a right digest but a missing field is refused', async () => {
    const incomplete = await encodeCheckpoint({
      ...sampleCheckpoint(),
      position: { step: -1, epoch: 0, batch: 0 },
    });
    expect((await refusal(incomplete)).message).toContain('a field is missing or of the wrong type');
  });

  test('files of two checkpoints do not mix', async () => {
    const other = await encodeCheckpoint(sampleCheckpoint(13));
    const error = await refusal(withFile('weights.safetensors', other['weights.safetensors']));
    expect(error.where).toBe('run/weights.safetensors');
  });

  test('a figure that JSON cannot hold is refused when saving', async () => {
    const diverged = { ...sampleCheckpoint(), history: [{ step: 1, loss: Number.NaN }] };
    await expect(encodeCheckpoint(diverged)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: '"loss" is NaN, which a checkpoint cannot hold',
    });
  });
});

describe('requireSameConfig', () => {
  const saved = { cell: 'lstm', hidden: 3, layers: 1, lr: 0.1 };

  test('accepts other values of other keys', () => {
    expect(() => requireSameConfig(saved, { ...saved, lr: 0.2 }, ['cell', 'hidden'], 'run')).not.toThrow();
  });

  test('names the keys that differ', () => {
    expect(() =>
      requireSameConfig(saved, { ...saved, hidden: 4, layers: 2 }, ['cell', 'hidden', 'layers'], 'run'),
    ).toThrow(
      expect.objectContaining({
        code: 'CHECKPOINT',
        message: 'the checkpoint is of another model: hidden is 3 there, 4 here; layers is 1 there, 2 here',
      }),
    );
  });
});
