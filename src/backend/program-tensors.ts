import type { Scope } from '../dispose.js';
import { type Program, sizeOf } from '../program/program.js';
import type { Backend, Tensor } from './backend.js';

/** Tensors by the names under which a program binds them. */
export type Tensors = Readonly<Record<string, Tensor>>;

/**
 * A tensor of zeros for every input of a program and every output that is not an update of one; those named in
 * `shared` are left to the caller.
 * @throws KronogradError MEMORY
 */
export function programTensors(
  backend: Backend,
  program: Program,
  scope: Scope,
  shared: readonly string[] = [],
): Tensors {
  const outputs = program.outputs.filter(({ updates }) => updates === null);
  const tensors: Record<string, Tensor> = {};
  for (const { name, value } of [...program.inputs, ...outputs])
    if (!shared.includes(name)) tensors[name] = scope.own(backend.tensor(value.type));
  return tensors;
}

/** Those tensors whose names begin with a prefix, by the rest of their names. */
export function withoutPrefix(tensors: Tensors, prefix: string): [name: string, tensor: Tensor][] {
  return Object.entries(tensors)
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, tensor]) => [name.slice(prefix.length), tensor]);
}

/** The carried state of a recurrent program back to zero. */
export function resetState(tensors: Tensors): void {
  for (const [, tensor] of withoutPrefix(tensors, 'state.'))
    tensor.write(new Float32Array(sizeOf(tensor.type.shape)));
}
