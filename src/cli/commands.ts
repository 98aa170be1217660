import type { CommandRegistration } from './program.js';

/** The commands of `kronograd`, in the order of its help: one file each, registered here. */
export const COMMANDS: readonly CommandRegistration[] = [];
