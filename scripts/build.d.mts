import type * as Esbuild from 'esbuild';

/** Builds the entries of dist into a folder, without types. Fails where the browser's entry needs Node. */
export declare function bundle(esbuild: Pick<typeof Esbuild, 'build'>, outdir: string): Promise<void>;
