/**
 * Shaders with marked regions. A `.wgsl` file is valid by itself, for a small default instance; between
 *
 *     //#begin name
 *     //#end name
 *
 * stands what a generator replaces for another instance.
 */

const regionPattern = /^([ \t]*)\/\/#begin (\w+)[ \t]*\n([\s\S]*?)^[ \t]*\/\/#end \2[ \t]*\n/gm;

/** The text of every region by its name. */
export function regionsOf(source: string): ReadonlyMap<string, string> {
  const regions = new Map<string, string>();
  for (const [, , name, body] of source.matchAll(regionPattern)) regions.set(name!, body!);
  return regions;
}

/**
 * The source with every region replaced, its markers removed and the new lines indented like the marker.
 * @throws Error when a region of the source is not given, or a given one is not in the source.
 */
export function fillTemplate(source: string, regions: Readonly<Record<string, readonly string[]>>): string {
  const unused = new Set(Object.keys(regions));
  const filled = source.replace(regionPattern, (_, indent: string, name: string) => {
    const lines = regions[name];
    if (lines === undefined) throw new Error(`shader template: no text for the region '${name}'`);
    unused.delete(name);
    return lines
      .flatMap((line) => line.split('\n'))
      .map((line) => (line === '' ? '\n' : `${indent}${line}\n`))
      .join('');
  });
  if (unused.size > 0) throw new Error(`shader template: no region named '${[...unused].join("', '")}'`);
  return filled;
}
