/** Bodies side by side in one shader: each with names of its own. */

const declaration = /^(?:alias|const|fn|struct|var(?:<[^>]*>)?) (\w+)/gm;
const comment = /^\/\/.*\n/gm;

/** A shader's text without its comments at the margin, and with a suffix on every name it declares at module scope. */
export function suffixed(code: string, suffix: string): string {
  const text = code.replace(comment, '').trim();
  const names = [...text.matchAll(declaration)].map(([, name]) => name!);
  // A name behind a dot is a member's.
  return text.replace(new RegExp(`(?<![.\\w])(?:${names.join('|')})\\b`, 'g'), (name) => `${name}${suffix}`);
}

const block = /^var<workgroup> (tile_[ab])(\w*): array<(.+?), (.+)>;\n/gm;

/**
 * Texts of which a workgroup runs one, with the blocks of their products in the same memory: those of one operand and type, in
 * their order. The declarations come apart.
 */
export function sharingBlocks(texts: readonly string[]): { declarations: string[]; texts: string[] } {
  const shared = new Map<string, { name: string; type: string; lengths: string[] }>();
  const bare = texts.map((text) => {
    const names = new Map<string, string>();
    const counts = new Map<string, number>();
    const rest = text.replace(block, (_, operand: string, suffix: string, type: string, length: string) => {
      const kind = `${operand} ${type}`;
      const count = counts.get(kind) ?? 0;
      counts.set(kind, count + 1);
      const known = shared.get(`${kind} ${count}`) ?? {
        name: `${operand}_of_${shared.size}`,
        type,
        lengths: [],
      };
      shared.set(`${kind} ${count}`, { ...known, lengths: [...known.lengths, length] });
      names.set(`${operand}${suffix}`, known.name);
      return '';
    });
    return rest.replace(/\w+/g, (word) => names.get(word) ?? word);
  });
  const declarations = [...shared.values()].map(({ name, type, lengths }) => {
    const longest = lengths.reduce((a, b) => `max(${a}, ${b})`);
    return `var<workgroup> ${name}: array<${type}, ${longest}>;`;
  });
  return { declarations, texts: bare };
}
