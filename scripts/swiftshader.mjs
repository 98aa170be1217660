/**
 * The graphics environment of this machine: its own Vulkan driver, or SwiftShader (Vulkan in software) where it has
 * none, and a headless Chromium for the browser tests. Both come out of the dev dependency `@sparticuz/chromium`,
 * unpacked once into `.cache/`.
 *
 *   node scripts/swiftshader.mjs               print the environment as shell `export` lines
 *   node scripts/swiftshader.mjs node a.mjs    run a command in it
 *
 * The loader reads these variables when a process starts, so they must be set before node is: that is why the other
 * scripts run their work in a child process.
 *
 * The rule, in this order:
 *   1. KRONOGRAD_VULKAN=system leaves the environment alone; =swiftshader asks for SwiftShader whatever is there.
 *   2. Not Linux on x64: left alone (Metal and Direct3D need nothing; SwiftShader is packed for Linux x64 only).
 *   3. VK_DRIVER_FILES or VK_ICD_FILENAMES is set: somebody chose a driver; left alone.
 *   4. A driver manifest that is not Mesa's software one, and a GPU device node: a real GPU; left alone. (Distributions
 *      install the manifests of every vendor, so a manifest alone proves nothing.)
 *   5. Otherwise SwiftShader, if `@sparticuz/chromium` is installed; if not, left alone, with the reason in `note`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { createBrotliDecompress } from 'node:zlib';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const cache = join(root, '.cache');

const MANIFESTS = [
  '/etc/vulkan/icd.d',
  '/usr/share/vulkan/icd.d',
  '/usr/local/etc/vulkan/icd.d',
  '/usr/local/share/vulkan/icd.d',
];
const SOFTWARE = /lvp|lavapipe|llvmpipe|swiftshader/i;

const list = (folder) => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** A manifest of a hardware driver and a device for it to drive, or undefined. */
function realDriver() {
  const device =
    list('/dev/dri').find((name) => name.startsWith('renderD')) ??
    list('/dev').find((name) => /^(nvidia\d+|dxg|kgsl-3d0|mali0)$/.test(name));
  if (device === undefined) return undefined;
  for (const folder of MANIFESTS) {
    const name = list(folder).find((file) => file.endsWith('.json') && !SOFTWARE.test(file));
    if (name !== undefined) return join(folder, name);
  }
  return undefined;
}

/** The packed binaries: `{ bin, version }`, or `{ missing }` with the reason. */
function packed() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { missing: `@sparticuz/chromium has no binaries for ${process.platform} on ${process.arch}` };
  try {
    // The package's exports hide its package.json: find it from the main module, <package>/build/cjs/index.cjs.
    const main = createRequire(join(root, 'package.json')).resolve('@sparticuz/chromium');
    const home = dirname(dirname(dirname(main)));
    const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
    return { bin: join(home, 'bin'), version };
  } catch {
    return { missing: 'the dev dependency @sparticuz/chromium is not installed' };
  }
}

/** Decompress `<name>.br` into `folder`, and unpack it there if it is an archive. */
async function unpack(file, folder) {
  const plain = join(folder, basename(file, '.br'));
  await pipeline(createReadStream(file), createBrotliDecompress(), createWriteStream(plain, { mode: 0o755 }));
  if (!plain.endsWith('.tar')) return;
  // From a file, not through a pipe: tar stops reading at the archive's end mark, and the writer would fail.
  execFileSync('tar', ['-x', '-f', plain, '-C', folder, '--no-same-owner']);
  rmSync(plain);
}

/**
 * A folder of `.cache/` with the contents of some packed files. It appears whole or not at all: it is filled under
 * another name and renamed, so an interrupted run or two at once do no harm.
 */
async function unpacked(name, files) {
  const { bin, version, missing } = packed();
  if (missing !== undefined) return { missing };
  const target = join(cache, `${name}-${version}`);
  if (existsSync(target)) return { folder: target };
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(`${target}.`);
  try {
    for (const file of files) await unpack(join(bin, file), draft);
    const manifest = join(draft, 'vk_swiftshader_icd.json');
    const content = JSON.parse(readFileSync(manifest, 'utf8'));
    content.ICD.library_path = './libvk_swiftshader.so'; // relative to the manifest
    writeFileSync(manifest, JSON.stringify(content));
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(target)) throw error; // else another process was first
  }
  return { folder: target };
}

const prepend = (folder, path) => (path ? `${folder}:${path}` : folder);

/**
 * The environment in which to start a process that uses the GPU.
 * `kind`: 'system' (untouched), 'swiftshader', or 'none' (nothing is there and nothing could be prepared).
 */
export async function graphicsEnvironment(base = process.env) {
  const choice = base.KRONOGRAD_VULKAN ?? '';
  if (!['', 'system', 'swiftshader'].includes(choice))
    throw new Error(`KRONOGRAD_VULKAN is '${choice}'; it can be 'system', 'swiftshader' or unset`);
  const system = (note) => ({ env: { ...base }, kind: 'system', note });
  if (choice === 'system') return system("Vulkan: the system's, as KRONOGRAD_VULKAN asks");
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return system("GPU: the operating system's driver");
  if (choice === '') {
    const chosen = base.VK_DRIVER_FILES || base.VK_ICD_FILENAMES;
    if (chosen) return system(`Vulkan: ${chosen}, as the environment says`);
    const driver = realDriver();
    if (driver !== undefined) return system(`Vulkan: the system's driver, ${driver}`);
  }
  const { folder, missing } = await unpacked('swiftshader', ['swiftshader.tar.br']);
  if (folder === undefined)
    return {
      env: { ...base },
      kind: 'none',
      note: `Vulkan: no GPU driver found, and no SwiftShader: ${missing}`,
    };
  const manifest = join(folder, 'vk_swiftshader_icd.json');
  const env = {
    ...base,
    VK_DRIVER_FILES: manifest,
    VK_ICD_FILENAMES: manifest, // the same, for loaders before 1.3.207
    LD_LIBRARY_PATH: prepend(folder, base.LD_LIBRARY_PATH),
    XDG_RUNTIME_DIR: base.XDG_RUNTIME_DIR || runtimeFolder(),
  };
  return { env, kind: 'swiftshader', note: 'Vulkan: SwiftShader (software, slow; no GPU driver found)' };
}

function runtimeFolder() {
  const folder = join(cache, 'run');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** A headless Chromium: `{ executable, env, args }` to launch it with WebGPU in software, or `{ missing }`. */
export async function chromium(base = process.env) {
  const files = ['swiftshader.tar.br', 'al2023.tar.br', 'chromium.br'];
  const { folder, missing } = await unpacked('chromium', files);
  if (folder === undefined) return { missing };
  return {
    executable: join(folder, 'chromium'),
    env: {
      ...base,
      LD_LIBRARY_PATH: prepend(`${folder}:${join(folder, 'lib')}`, base.LD_LIBRARY_PATH), // nss, nspr, expat
      XDG_RUNTIME_DIR: base.XDG_RUNTIME_DIR || runtimeFolder(),
    },
    args: [
      '--no-sandbox', // root cannot use the sandbox
      '--disable-dev-shm-usage', // containers have a small /dev/shm
      '--enable-unsafe-webgpu',
      '--use-webgpu-adapter=swiftshader',
    ],
  };
}

/** Run a command to its end, passing signals on; resolves to its exit code. */
export async function run(command, args, env = process.env) {
  const child = spawn(command, args, { stdio: 'inherit', env, cwd: root });
  const pass = (signal) => child.kill(signal);
  process.on('SIGINT', pass).on('SIGTERM', pass);
  try {
    const [code, signal] = await once(child, 'close');
    if (signal !== null) console.error(`${command} was ended by ${signal}`);
    return code ?? 1;
  } finally {
    process.off('SIGINT', pass).off('SIGTERM', pass);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { env, note } = await graphicsEnvironment();
  const [command, ...args] = process.argv.slice(2);
  console.error(note);
  if (command !== undefined) {
    process.exitCode = await run(command, args, env);
  } else {
    for (const [key, value] of Object.entries(env))
      if (process.env[key] !== value) console.log(`export ${key}='${value.replaceAll("'", "'\\''")}'`);
  }
}
