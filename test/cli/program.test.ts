import { describe, expect, test } from 'vitest';
import { integerOption } from '../../src/cli/options.js';
import { type CommandRegistration, runCommandLine } from '../../src/cli/program.js';
import { KronogradError } from '../../src/errors.js';
import { Collected } from './collect.js';

const measure: CommandRegistration = (program, context) => {
  program
    .command('measure <file>')
    .option('--length <n>', 'how many', integerOption('--length', { min: 1, max: 9 }))
    .action(async (file: string, options: { length?: number }) => {
      if (file === 'missing')
        throw new KronogradError('STORAGE', 'there is no such file', { where: file, fix: 'look' });
      if (file === 'bug') throw new TypeError('x is undefined');
      context.stdout.write(`${file} ${options.length ?? 'all'}\n`);
      if (file === 'wrong') context.exitCode = 1;
    });
};

async function run(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const exitCode = await runCommandLine(args, [measure], { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

describe('runCommandLine', () => {
  test('runs a command', async () => {
    expect(await run('measure', 'a', '--length', '3')).toEqual({ exitCode: 0, out: 'a 3\n', err: '' });
  });

  test('a command chooses its exit code', async () => {
    expect((await run('measure', 'wrong')).exitCode).toBe(1);
  });

  test('prints a typed error without a stack and exits with 2', async () => {
    expect(await run('measure', 'missing')).toEqual({
      exitCode: 2,
      out: '',
      err: 'STORAGE: there is no such file\n  where: missing\n  fix:   look\n',
    });
  });

  test.each([
    ['before', ['--debug', 'measure', 'missing']],
    ['after', ['measure', 'missing', '--debug']],
  ])('--debug %s the command adds the stack', async (_place, args) => {
    const { exitCode, err } = await run(...args);
    expect(exitCode).toBe(2);
    expect(err).toContain('program.test.ts');
  });

  test('a fault of ours is told apart, with a stack on demand only', async () => {
    const plain = await run('measure', 'bug');
    expect(plain.exitCode).toBe(70);
    expect(plain.err).toContain('internal error: x is undefined');
    expect(plain.err).not.toContain('program.test.ts');
    expect((await run('measure', 'bug', '--debug')).err).toContain('program.test.ts');
  });

  test.each([
    ['an unknown command', ['mesure', 'a'], "unknown command 'mesure' (Did you mean measure?)", 'kronograd'],
    [
      'an unknown option',
      ['measure', 'a', '--lenght', '3'],
      "unknown option '--lenght'",
      'kronograd measure',
    ],
    ['a missing argument', ['measure'], "missing required argument 'file'", 'kronograd measure'],
    [
      'a missing value',
      ['measure', 'a', '--length'],
      "option '--length <n>' argument missing",
      'kronograd measure',
    ],
    ['too many arguments', ['measure', 'a', 'b'], 'too many arguments', 'kronograd measure'],
    ['a bad value', ['measure', 'a', '--length', '-1'], '--length cannot be -1', '--length'],
  ])('%s is refused with exit code 2', async (_name, args, what, where) => {
    const { exitCode, out, err } = await run(...args);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(`OPTION: ${what}`);
    expect(err).toContain(`  where: ${where}\n`);
    expect(err).not.toContain('    at ');
  });

  test('--help and --version go to the standard output', async () => {
    expect(await run('--version')).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
    expect(await run('measure', '--help')).toMatchObject({ exitCode: 0, err: '' });
  });

  test('no command prints the help and is an error', async () => {
    const { exitCode, err } = await run();
    expect(exitCode).toBe(2);
    expect(err).toContain('Usage: kronograd');
  });
});
