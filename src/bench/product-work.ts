/** Single kernels: a plain matrix product, and the rank-rt update of a recurrent weight. */
import { CounterRandom } from '../data/random.js';
import { Builder } from '../program/builder.js';
import { float } from '../program/program.js';
import { naiveProduct } from './naive-product.js';
import type { Work } from './work.js';
import { describeWorkload, type Workload } from './workload.js';

/** C = A B, all [n, n]. */
export function gemmWork(n: number): Work {
  return productWork(
    { name: 'gemm', workload: `${n}`, description: `C = A B, all [${n}, ${n}]` },
    n,
    n,
    n,
    false,
  );
}

/** dW = sum over r*T of V_s Z_s': the weight gradient of the recurrent product, [4H, H]. */
export function rankRtWork(workload: Workload): Work {
  const { batch, unroll, hidden } = workload;
  const description = `dW [${4 * hidden}, ${hidden}] of rank ${batch * unroll}, as in ${describeWorkload(workload)}`;
  const names = { name: 'rank-rt', workload: workload.name, description };
  return productWork(names, 4 * hidden, hidden, batch * unroll, true);
}

/** A is stored [depth, rows] when `transA`. */
function productWork(
  names: Pick<Work, 'name' | 'workload' | 'description'>,
  rows: number,
  columns: number,
  depth: number,
  transA: boolean,
): Work {
  const on = new Builder();
  const a = on.input('a', transA ? float(depth, rows) : float(rows, depth));
  const b = on.input('b', float(depth, columns));
  const program = on.build({ c: on.gemm(a, b, { transA }) });
  const normals = (size: number, stream: number) => {
    const random = new CounterRandom(1, stream);
    return Float32Array.from({ length: size }, () => random.normal());
  };
  return {
    ...names,
    sizes: { rows, columns, depth },
    tokens: null,
    program,
    load(tensors) {
      tensors.a!.write(normals(rows * depth, 0));
      tensors.b!.write(normals(depth * columns, 1));
    },
    naive() {
      const A = normals(rows * depth, 0);
      const B = normals(depth * columns, 1);
      const C = new Float32Array(rows * columns);
      return () => {
        naiveProduct(A, B, C, { rows, columns, depth, transA });
        return null;
      };
    },
  };
}
