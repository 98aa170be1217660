/** `kronograd doctor`: what this machine can compute on, what that costs, and what is missing. */
import { adapterName, subgroupMatricesInWords, subgroupsInWords } from '../backend/webgpu/adapter.js';
import { type Examination, type ExaminedAdapter, examine, type Problem } from './examination.js';
import { UNSAFE_FAST_MEANING } from './options.js';
import type { CommandRegistration } from './program.js';

export const doctor: CommandRegistration = (program, context) => {
  program
    .command('doctor')
    .description('explain this machine: adapters, limits, costs, which backend is used and why')
    .option('--unsafe-fast', UNSAFE_FAST_MEANING)
    .option('--json', 'one JSON object')
    .action(async ({ json, unsafeFast }: { json?: boolean; unsafeFast?: boolean }) => {
      const found = await examine({ unsafeFast });
      const text = json ? JSON.stringify(found) : report(found).join('\n');
      context.stdout.write(`${text}\n`);
    });
};

/** The limits that decide what fits and how fast it is; `--json` has all. */
const LIMITS: readonly (readonly [name: string, meaning: string, unit: 'bytes' | ''])[] = [
  ['maxBufferSize', 'a buffer', 'bytes'],
  ['maxStorageBufferBindingSize', 'a binding', 'bytes'],
  ['maxStorageBuffersPerShaderStage', 'storage buffers', ''],
  ['maxComputeWorkgroupStorageSize', 'workgroup memory', 'bytes'],
  ['maxComputeInvocationsPerWorkgroup', 'invocations', ''],
];

/** The features that the kernels can make use of. */
const USED_FEATURES = ['shader-f16', 'subgroups', 'timestamp-query'];

function report({
  kronograd,
  node,
  platform,
  cpu,
  dawn,
  toggles,
  tuning,
  adapters,
  problem,
  backends,
}: Examination): string[] {
  const { auto } = backends;
  return [
    line('kronograd', `${kronograd}, Node ${node}, ${platform}`),
    line('cpu', `${cpu.model}, ${cpu.processors} ${cpu.processors === 1 ? 'processor' : 'processors'}`),
    line('webgpu', dawn === null ? 'the npm package is not installed' : `Dawn, npm package ${dawn}`),
    ...(dawn === null ? [] : [line('', `toggles ${toggles.join(', ')}`)]),
    line('tuning', `${tuning.path}, ${tuning.entries} ${tuning.entries === 1 ? 'entry' : 'entries'}`),
    ...(tuning.problem === null ? [] : [line('', tuning.problem)]),
    ...adapters.flatMap((adapter) => ['', ...describeAdapter(adapter)]),
    ...(problem === null ? [] : ['', ...describeProblem('adapter', 'none', problem)]),
    '',
    line('auto', `${auto.name}: ${auto.description}`),
    line('', `because ${auto.reason}`),
    line('cpu', backends.cpu.description),
  ];
}

function describeAdapter(adapter: ExaminedAdapter): string[] {
  const { isSoftware, features, subgroups, subgroupMatrices, limits, costs, problem } = adapter;
  const bounds = LIMITS.map(([name, meaning, unit]) => {
    const value = limits[name] ?? 0;
    return `${meaning} ${unit === 'bytes' ? formatBytes(value) : value}`;
  });
  const has = USED_FEATURES.filter((name) => features.includes(name));
  const lacks = USED_FEATURES.filter((name) => !features.includes(name));
  const cost = (name: string, microseconds: number) => `${name} ${formatMicroseconds(microseconds)}`;
  return [
    line('adapter', `${adapterName(adapter)}${isSoftware ? ' (a CPU that plays GPU)' : ''}`),
    line(
      '  features',
      `${has.join(', ') || 'none of use'}${lacks.length > 0 ? `; not ${lacks.join(', ')}` : ''}`,
    ),
    ...(subgroups === null ? [] : [line('', subgroupsInWords(subgroups))]),
    ...(subgroupMatrices.length === 0 ? [] : [line('', subgroupMatricesInWords(subgroupMatrices))]),
    line('', `${features.length} in all, see --json`),
    line('  limits', bounds.join(', ')),
    ...(costs === null
      ? []
      : [
          line(
            '  costs',
            [
              cost('a dispatch', costs.dispatch),
              cost('a pass', costs.pass),
              cost('a submit', costs.submit),
              cost('a readback', costs.readback),
            ].join(', '),
          ),
        ]),
    ...(problem === null ? [] : describeProblem('  problem', problem.code, problem)),
  ];
}

function describeProblem(label: string, verdict: string, { message, where, fix }: Problem): string[] {
  return [
    line(label, `${verdict}: ${message}`),
    ...(where === null ? [] : [line('  where', where)]),
    ...(fix === null ? [] : [line('  fix', fix)]),
  ];
}

const line = (label: string, text: string): string => `${label.padEnd(12)}${text}`;

function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes === 0 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  return `${Number((bytes / 1024 ** power).toFixed(1))} ${units[power]}`;
}

function formatMicroseconds(time: number): string {
  if (time >= 1000) return `${(time / 1000).toFixed(1)} ms`;
  return `${time >= 10 ? time.toFixed(0) : time.toFixed(1)} us`;
}
