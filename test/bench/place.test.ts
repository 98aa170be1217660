/** What results say of the device that they are from. */
import { describe, expect, it } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { createDawnBackend, dawnToggles } from '../../src/backend/webgpu/dawn.js';
import { placeInWords, placeOf } from '../../src/bench/place.js';

describe('a place', () => {
  it.each([false, true])(
    'names the optional features and toggles that are on: unsafe %s',
    async (unsafeFast) => {
      using backend = await createDawnBackend({ unsafeFast });
      const { features } = backend.device.gpu;
      const place = placeOf(backend);
      expect(place).toMatchObject({ backend: 'webgpu', adapter: backend.description });
      expect(place.features!.halves).toBe(features.has('shader-f16'));
      expect(place.features!.subgroups !== null).toBe(features.has('subgroups'));
      expect(place.features!.toggles).toEqual(dawnToggles({ unsafeFast }));
      expect(place.features!.toggles.includes('skip_validation')).toBe(unsafeFast);
      expect(JSON.parse(JSON.stringify(place))).toEqual(place);
    },
  );

  it('on the CPU has none', () => {
    using backend = new Float32Backend();
    expect(placeOf(backend).features).toBeNull();
    expect(placeInWords(placeOf(backend))).toBe(backend.description);
  });

  it('is one line for people', () => {
    const place = { backend: 'webgpu', adapter: 'a card' };
    const none = { halves: false, subgroups: null, subgroup_matrices: [], toggles: ['x'] };
    expect(placeInWords({ ...place, features: none })).toBe('a card (no optional features)');
    const product = { componentType: 'f16', resultComponentType: 'f32', M: 8, N: 16, K: 4 };
    const all = { halves: true, subgroups: { min: 8, max: 32 }, subgroup_matrices: [product], toggles: [] };
    expect(placeInWords({ ...place, features: all })).toBe(
      'a card (f16, subgroups of 8 to 32, subgroup matrices 8x16x4 f16 -> f32)',
    );
    const fixed = { ...none, subgroups: { min: 32, max: 32 } };
    expect(placeInWords({ ...place, features: fixed })).toBe('a card (subgroups of 32)');
  });
});
