#!/usr/bin/env node
import { COMMANDS } from './commands.js';
import { runCommandLine } from './program.js';

// `kronograd sample ... | head` closes the pipe early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runCommandLine(process.argv.slice(2), COMMANDS, process);
