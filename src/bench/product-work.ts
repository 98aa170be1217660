/** Single kernels: a plain matrix product, and the rank-rt update of a recurrent weight. */
import { CounterRandom } from '../data/random.js';
import { Builder } from '../program/builder.js';
import type { Precision } from '../train/step-program.js';
import { naiveProduct } from './naive-product.js';
import type { Work } from './work.js';
import { describeWorkload, type Workload } from './workload.js';

/** C = A B, all [n, n]; in mixed precision of halves, added up as floats. */
export function gemmWork(n: number, precision: Precision): Work {
  const names = { name: 'gemm', workload: `${n}`, description: `C = A B, all [${n}, ${n}]` };
  return productWork(names, { rows: n, columns: n, depth: n, transA: false }, precision);
}

/** dW = sum over r*T of V_s Z_s': the weight gradient of the recurrent product, [4H, H]. */
export function rankRtWork(workload: Workload, precision: Precision): Work {
  const { batch, unroll, hidden } = workload;
  const description = `dW [${4 * hidden}, ${hidden}] of rank ${batch * unroll}, as in ${describeWorkload(workload)}`;
  const names = { name: 'rank-rt', workload: workload.name, description };
  const sizes = { rows: 4 * hidden, columns: hidden, depth: batch * unroll };
  return productWork(names, { ...sizes, transA: true }, precision);
}

interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** A is stored [depth, rows]. */
  readonly transA: boolean;
}

function productWork(
  names: Pick<Work, 'name' | 'workload' | 'description'>,
  { rows, columns, depth, transA }: Product,
  precision: Precision,
): Work {
  const on = new Builder();
  const dtype = precision === 'mixed' ? 'half' : 'float';
  const a = on.input('a', { dtype, shape: transA ? [depth, rows] : [rows, depth] });
  const b = on.input('b', { dtype, shape: [depth, columns] });
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
    precision,
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
