import type { Writable } from 'node:stream';
import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { version } from '../../package.json';
import { KronogradError } from '../errors.js';

/** A user's mistake, or something a user can act upon. */
const EXIT_REFUSED = 2;
/** A fault of this program (EX_SOFTWARE of sysexits.h). */
const EXIT_INTERNAL = 70;

/** What a command has of the world. */
export interface CommandContext {
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** The exit code when the command ends without an error; a command may set another than 0. */
  exitCode: number;
}

/**
 * Adds one command: `program.command('doctor').action(...)`. Its action may be asynchronous, and may throw.
 */
export type CommandRegistration = (program: Command, context: CommandContext) => void;

/**
 * Runs the command line (the arguments after the program's name) and returns the exit code: that of the
 * command, or 2 after printing what was wrong. A stack trace is printed with `--debug` only.
 */
export async function runCommandLine(
  args: readonly string[],
  commands: readonly CommandRegistration[],
  { stdout, stderr }: { readonly stdout: Writable; readonly stderr: Writable },
): Promise<number> {
  const context: CommandContext = { stdout, stderr, exitCode: 0 };
  const program = createProgram(commands, context);
  try {
    await program.parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help and --version
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT_REFUSED; // already printed
    const known = error instanceof CommanderError ? usageError(error, program, args) : error;
    stderr.write(`${describeError(known, program.opts().debug === true)}\n`);
    return known instanceof KronogradError ? EXIT_REFUSED : EXIT_INTERNAL;
  }
}

function createProgram(commands: readonly CommandRegistration[], context: CommandContext): Command {
  const program = new Command('kronograd')
    .description('Train recurrent networks on any GPU through WebGPU, or on the CPU.')
    .version(version)
    .option('--debug', 'print stack traces')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      outputError: () => {}, // errors are printed in one place, in our own form
    });
  for (const register of commands) register(program, context);
  return program;
}

/** What commander found wrong with the arguments, as an error of ours. */
function usageError(error: CommanderError, program: Command, args: readonly string[]): KronogradError {
  const command = program.commands.find((each) => args.includes(each.name()));
  const where = command === undefined ? program.name() : `${program.name()} ${command.name()}`;
  return new KronogradError('OPTION', error.message.replace(/^error: /, '').replaceAll('\n', ' '), {
    where,
    fix: `see ${where} --help`,
  });
}

function describeError(error: unknown, debug: boolean): string {
  const summary =
    error instanceof KronogradError
      ? error.describe()
      : `internal error: ${error instanceof Error ? error.message : String(error)}`;
  if (debug) return `${summary}\n${inspect(error)}`;
  return error instanceof KronogradError
    ? summary
    : `${summary}\n  fix:   run again with --debug, and report the stack trace`;
}
