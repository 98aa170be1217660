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
