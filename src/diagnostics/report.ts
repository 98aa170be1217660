/** A diagnosis in lines of text. */
import type { Carousel } from './carousel.js';
import type { RecurrenceCertificates } from './certificates.js';
import type { Diagnosis, LayerDiagnosis } from './diagnose.js';
import type { GateStatistics } from './gates.js';
import { short } from './verdict.js';

/** The verdict on each layer, and below it what it rests on. */
export const diagnosisLines = ({ layers }: Diagnosis): string[] =>
  layers.flatMap((layer) => [layer.verdict.text, ...details(layer).map((line) => `  ${line}`)]);

function details(layer: LayerDiagnosis): string[] {
  const { byLag, certificates, gates, carousel } = layer;
  return [
    ...jacobianLines(layer),
    row('error signal', lagText(byLag.errorSignal, 'of the last loss, by lag')),
    ...(Object.keys(gates).length > 0 ? [row('gates', Object.entries(gates).map(gateText).join('; '))] : []),
    ...(carousel ? carouselLines(carousel) : []),
    ...(certificates ? certificateLines(certificates) : []),
  ];
}

function jacobianLines({ steps, byLag, growthRate, isDense, stateSize }: LayerDiagnosis): string[] {
  const smallest = steps.smallest
    ? `sigma_min ${span(steps.smallest)}`
    : `sigma_min is not computed for a state of ${stateSize}`;
  const how = isDense ? '' : ', by power iteration';
  return [
    row('step Jacobians', `sigma_max ${span(steps.largest)}${how}, ${smallest}`),
    row(
      'products',
      `${lagText(byLag.product, 'sigma_max by lag')}; growth rate ${short(growthRate)} per step`,
    ),
  ];
}

function carouselLines({ share, isCarousel, conditions }: Carousel): string[] {
  const steps = `${percent(share)} of the steps`;
  return [
    row('carousel', isCarousel ? `yes, at ${steps}` : `no: at ${steps}`),
    ...conditions.map(({ condition, value, holds }) =>
      row('', `${condition}: ${short(value)}, ${yes(holds)}`),
    ),
  ];
}

function certificateLines({ certificates, longestGrowth, stability }: RecurrenceCertificates): string[] {
  const lines = certificates.map(({ proves, condition, value, holds }) =>
    row(`${proves} if`, `${condition}: ${short(value)}, ${yes(holds)}`),
  );
  if (longestGrowth !== null)
    lines.push(row('', `sigma_min(W) min|f'| > 1 for ${longestGrowth} steps in a row at most`));
  if (stability !== null) {
    const radius = stability[0]!;
    lines.push(
      row('stability', `|lambda| at most ${short(radius)}: ${radius < 1 ? 'stable' : 'not stable'} at rest`),
    );
  }
  return lines;
}

const row = (name: string, text: string): string => `${name.padEnd(18)}${text}`;

const yes = (holds: boolean): string => (holds ? 'yes' : 'no');

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

const gateText = ([name, { mean, shut, open }]: [string, GateStatistics]): string =>
  `${name} ${short(mean)}, ${percent(shut)} shut, ${percent(open)} open`;

const span = (values: Float64Array): string =>
  `${short(values.reduce((a, b) => Math.min(a, b)))} to ${short(values.reduce((a, b) => Math.max(a, b)))}`;

/** Numbers at lags 0, 1, 2, 4, 8, ... and the longest. */
function lagText(byLag: readonly number[], what: string): string {
  const longest = byLag.length - 1;
  const lags = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512].filter((lag) => lag < longest);
  return `${what}: ${[...lags, longest].map((lag) => `${lag}: ${short(byLag[lag]!)}`).join(', ')}`;
}
