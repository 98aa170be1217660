import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lineChart } from '../../src/plot/line-chart.js';
import { axisFor, placeOn, tickText } from '../../src/plot/ticks.js';

const chart = (points: [number, number][], scale: 'linear' | 'log' = 'linear') =>
  lineChart({
    title: 'a <b> & "c"',
    x: { label: 'x' },
    y: { label: 'y', scale },
    series: [{ name: 's', points }],
  });

const linesOf = (svg: string) => [...svg.matchAll(/<path d="([^"]*)" fill="none"/g)].map((m) => m[1]!);

describe('axes', () => {
  it.each([
    [[0, 1], 'linear', [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [[-0.3, 0.3], 'linear', [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]],
    [[0, 47], 'linear', [0, 10, 20, 30, 40, 50]],
    [[2], 'linear', [1, 1.5, 2, 2.5, 3]],
    [[3, 1500], 'log', [1, 10, 100, 1000, 10000]],
    [[3, 40], 'log', [2, 5, 10, 20, 50]],
    [[0.1], 'log', [0.1, 0.2]],
    [[Number.NaN, 0, -1], 'log', [1, 10]],
  ] as const)('%j on a %s scale', (numbers, scale, ticks) => {
    expect(axisFor(numbers, scale).ticks).toEqual(ticks);
  });

  it('hold every number, between 2 and 9 ticks', () => {
    const numbers = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(numbers, fc.constantFrom('linear', 'log'), (drawn, scale) => {
        const shown = scale === 'log' ? drawn.map((x) => Math.abs(x) + 1e-9) : drawn;
        const axis = axisFor(shown, scale as 'linear' | 'log');
        expect(axis.ticks.length).toBeGreaterThanOrEqual(2);
        expect(axis.ticks.length).toBeLessThanOrEqual(9);
        for (const x of shown) {
          expect(placeOn(axis, x)).toBeGreaterThanOrEqual(-1e-6);
          expect(placeOn(axis, x)).toBeLessThanOrEqual(1 + 1e-6);
        }
      }),
    );
  });

  it.each([
    [0, '0'],
    [0.3, '0.3'],
    [-25, '-25'],
    [1e-7, '1e-7'],
    [2e6, '2e6'],
  ])('writes %d as %s', (x, text) => expect(tickText(x)).toBe(text));
});

describe('lineChart', () => {
  it('puts the ends of the axes at the corners of the plot', () => {
    expect(
      linesOf(
        chart([
          [0, 0],
          [1, 1],
        ]),
      ),
    ).toEqual(['M78 402L736 46']);
  });

  it('interrupts the line where a point has no place', () => {
    const [line] = linesOf(
      chart(
        [
          [0, 1],
          [1, 0],
          [2, 10],
          [3, 100],
          [4, Number.NaN],
        ],
        'log',
      ),
    );
    expect(line!.match(/[ML]/g)!.join('')).toBe('MML');
  });

  it('has its legend in the corner that is asked for', () => {
    const series = ['a', 'b'].map((name) => ({ name, points: [[0, 1] as const] }));
    const place = (legend?: 'left' | 'right') => {
      const svg = lineChart({
        title: '',
        x: { label: '' },
        y: { label: '' },
        series,
        ...(legend && { legend }),
      });
      return Number(/<text x="([\d.]+)"[^>]*>a<\/text>/.exec(svg)![1]);
    };
    expect(place('left')).toBeLessThan(150);
    expect(place('right')).toBeGreaterThan(600);
    expect(place()).toBe(place('right'));
  });

  it('escapes text, and has a legend only for several series', () => {
    const svg = chart([[0, 1]]);
    expect(svg).toContain('a &lt;b&gt; &amp; &quot;c&quot;');
    expect(svg).not.toContain('>s<');
    const series = ['one', 'two'].map((name) => ({ name, points: [[0, 1]] as const }));
    const two = lineChart({ title: 't', x: { label: 'x' }, y: { label: 'y' }, series });
    expect(two).toContain('>one<');
    expect(two).toContain('>two<');
  });

  it('refuses a chart of nothing', () => {
    const empty = () => lineChart({ title: 't', x: { label: 'x' }, y: { label: 'y' }, series: [] });
    expect(empty).toThrow(expect.objectContaining({ code: 'DATA' }));
  });
});
