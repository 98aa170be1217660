/** Line charts as SVG: text in, text out. */
import { KronogradError } from '../errors.js';
import { type Axis, axisFor, isShown, placeOn, type Scale, tickText } from './ticks.js';

export interface Series {
  readonly name: string;
  /**
   * x and y of each point, in the order in which the line goes. A number without a place (not finite, or not above 0 on a
   * log scale) interrupts the line.
   */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface AxisOptions {
  readonly label: string;
  /** `linear` by default. */
  readonly scale?: Scale;
}

export interface LineChart {
  readonly title: string;
  readonly x: AxisOptions;
  readonly y: AxisOptions;
  readonly series: readonly Series[];
  /** The upper corner that the legend is in: `right` by default, `left` for curves that rise. */
  readonly legend?: 'left' | 'right';
}

const [WIDTH, HEIGHT] = [760, 460];
/** The plot's own rectangle. */
const PLOT = { left: 78, top: 46, right: WIDTH - 24, bottom: HEIGHT - 58 };
const LEGEND_LINE = 18;
/** Okabe and Ito's colours, told apart by the colour-blind as well; then the same ones dashed. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];

/**
 * A chart of lines with ticks, labels, a title and, for several series, a legend. The same input gives the same bytes.
 * @throws KronogradError DATA when there is no series
 */
export function lineChart({ title, x, y, series, legend = 'right' }: LineChart): string {
  if (series.length === 0)
    throw new KronogradError('DATA', 'there is nothing to draw', {
      where: title,
      fix: 'give the chart one series or more',
    });
  const axes = {
    x: axisFor(
      series.flatMap(({ points }) => points.map(([each]) => each)),
      x.scale ?? 'linear',
    ),
    y: axisFor(
      series.flatMap(({ points }) => points.map(([, each]) => each)),
      y.scale ?? 'linear',
    ),
  };
  const middle = { x: (PLOT.left + PLOT.right) / 2, y: (PLOT.top + PLOT.bottom) / 2 };
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#222">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    `<text x="${WIDTH / 2}" y="26" text-anchor="middle" font-size="16">${escaped(title)}</text>`,
    ...axes.x.ticks.map((tick) => verticalTick(horizontal(axes.x, tick), tickText(tick))),
    ...axes.y.ticks.map((tick) => horizontalTick(vertical(axes.y, tick), tickText(tick))),
    `<text x="${middle.x}" y="${HEIGHT - 16}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text x="18" y="${middle.y}" text-anchor="middle" transform="rotate(-90 18 ${middle.y})">${escaped(y.label)}</text>`,
    ...series.map(({ points }, i) => `<path d="${pathOf(points, axes)}" ${strokeOf(i)}/>`),
    ...(series.length > 1 ? series.map(({ name }, i) => legendLine(name, i, legend)) : []),
    '</svg>\n',
  ].join('\n');
}

const horizontal = (axis: Axis, x: number) =>
  rounded(PLOT.left + placeOn(axis, x) * (PLOT.right - PLOT.left));
const vertical = (axis: Axis, y: number) =>
  rounded(PLOT.bottom - placeOn(axis, y) * (PLOT.bottom - PLOT.top));

function pathOf(points: Series['points'], axes: { readonly x: Axis; readonly y: Axis }): string {
  let isDrawing = false;
  const commands: string[] = [];
  for (const [x, y] of points) {
    const hasPlace = isShown(x, axes.x.scale) && isShown(y, axes.y.scale);
    if (hasPlace) commands.push(`${isDrawing ? 'L' : 'M'}${horizontal(axes.x, x)} ${vertical(axes.y, y)}`);
    isDrawing = hasPlace;
  }
  return commands.join('');
}

function strokeOf(i: number): string {
  const dash = i >= COLOURS.length ? ' stroke-dasharray="6 4"' : '';
  // Round caps show a point that stands alone.
  return `fill="none" stroke="${COLOURS[i % COLOURS.length]}" stroke-width="2" stroke-linejoin="round" stroke-linecap="round"${dash}`;
}

const verticalTick = (at: number, text: string) =>
  `<path d="M${at} ${PLOT.top}V${PLOT.bottom}" stroke="#ddd"/><text x="${at}" y="${PLOT.bottom + 18}" text-anchor="middle">${text}</text>`;

const horizontalTick = (at: number, text: string) =>
  `<path d="M${PLOT.left} ${at}H${PLOT.right}" stroke="#ddd"/><text x="${PLOT.left - 8}" y="${at + 4}" text-anchor="end">${text}</text>`;

function legendLine(name: string, i: number, side: 'left' | 'right'): string {
  const y = PLOT.top + 14 + i * LEGEND_LINE;
  if (side === 'left')
    return `<path d="M${PLOT.left + 6} ${y}H${PLOT.left + 26}" ${strokeOf(i)}/><text x="${PLOT.left + 34}" y="${y + 4}">${escaped(name)}</text>`;
  return `<path d="M${PLOT.right - 26} ${y}H${PLOT.right - 6}" ${strokeOf(i)}/><text x="${PLOT.right - 34}" y="${y + 4}" text-anchor="end">${escaped(name)}</text>`;
}

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string) => text.replace(/[&<>"]/g, (character) => ENTITIES[character]!);

const rounded = (x: number) => Math.round(x * 100) / 100;
