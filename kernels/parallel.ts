/** Generates shaders/parallel.wgsl. */
import source from '../shaders/parallel.wgsl';
import { type Body, bareCode, extensionsOf } from './body.js';
import { sharingBlocks, suffixed } from './namespace.js';
import { fillTemplate } from './template.js';

/** @param parts of equally many invocations in a workgroup. */
export function parallelBody(parts: readonly Body[]): Body {
  let groups = 0;
  const choice = parts.flatMap((part, n) => {
    const before = groups;
    groups += part.groups;
    const place = before === 0 ? 'workgroup' : `workgroup - ${before}`;
    const call = `  run_${n}(${place}, thread);`;
    if (n === 0) return [`if (workgroup < ${groups}) {`, call];
    return [n === parts.length - 1 ? '} else {' : `} else if (workgroup < ${groups}) {`, call];
  });
  return {
    threads: parts[0]!.threads,
    groups,
    extensions: extensionsOf(parts),
    inFrame: (frame) => {
      const { declarations, texts } = sharingBlocks(
        parts.map((part, n) => suffixed(bareCode(part), `_${n}`)),
      );
      return fillTemplate(source, {
        ...frame,
        parts: [...declarations, '', ...texts.flatMap((text) => [text, ''])],
        choice: [...choice, '}'],
      });
    },
  };
}
