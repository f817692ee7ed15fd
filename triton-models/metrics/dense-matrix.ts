/** Numbers in double precision, row after row. Plain loops over rows: a library's are ten times as slow at a thousand columns. */
export interface DenseMatrix {
  rows: number;
  columns: number;
  values: Float64Array;
  /** Whether all is zero below the diagonal. */
  isUpper?: boolean;
}

export function zeros(rows: number, columns: number): DenseMatrix {
  return { rows, columns, values: new Float64Array(rows * columns) };
}

export function transposed({ rows, columns, values }: DenseMatrix): DenseMatrix {
  const result = zeros(columns, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result.values[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}

/** A·Bᵀ: the products of every row of `a` with every row of `b`. */
export function rowProducts(a: DenseMatrix, b: DenseMatrix): DenseMatrix {
  const result = zeros(a.rows, b.rows);
  const isSymmetric = a === b;
  for (let i = 0; i < a.rows; i += 2) {
    for (let j = isSymmetric ? i : 0; j < b.rows; j += 2) {
      fourProducts(a, b, i, j, result);
    }
  }
  if (isSymmetric) {
    for (let i = 1; i < a.rows; i++) {
      for (let j = 0; j < i; j++) {
        result.values[i * a.rows + j] = result.values[j * a.rows + i]!;
      }
    }
  }
  return result;
}

/** Those of two neighbouring rows with two others, together: so every number is read half as often. */
function fourProducts(a: DenseMatrix, b: DenseMatrix, i: number, j: number, result: DenseMatrix): void {
  const { columns } = a;
  const ofA = a.values;
  const ofB = b.values;
  const hasMoreOfA = i + 1 < a.rows;
  const hasMoreOfB = j + 1 < b.rows;
  const a0 = i * columns;
  const b0 = j * columns;
  const a1 = hasMoreOfA ? a0 + columns : a0;
  const b1 = hasMoreOfB ? b0 + columns : b0;
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  for (let k = Math.max(a.isUpper ? i : 0, b.isUpper ? j : 0); k < columns; k++) {
    const x0 = ofA[a0 + k]!;
    const x1 = ofA[a1 + k]!;
    const y0 = ofB[b0 + k]!;
    const y1 = ofB[b1 + k]!;
    s00 += x0 * y0;
    s01 += x0 * y1;
    s10 += x1 * y0;
    s11 += x1 * y1;
  }
  const at = i * result.columns + j;
  result.values[at] = s00;
  if (hasMoreOfB) {
    result.values[at + 1] = s01;
  }
  if (hasMoreOfA) {
    result.values[at + result.columns] = s10;
  }
  if (hasMoreOfA && hasMoreOfB) {
    result.values[at + result.columns + 1] = s11;
  }
}

/** F with FᵀF = `matrix`, symmetric and positive semidefinite: Cholesky's, with rows of zeros for what depends on others. */
export function choleskyFactor({ rows, values }: DenseMatrix): DenseMatrix {
  const lower = zeros(rows, rows);
  const l = lower.values;
  const largest = values.reduce((most, value, at) => (at % (rows + 1) === 0 ? Math.max(most, value) : most), 0);
  const smallest = rows * Number.EPSILON * largest;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = values[i * rows + j]!;
      const [ofI, ofJ] = [i * rows, j * rows];
      for (let k = 0; k < j; k++) {
        rest -= l[ofI + k]! * l[ofJ + k]!;
      }
      if (i === j) {
        l[ofI + i] = rest > smallest ? Math.sqrt(rest) : 0;
      } else {
        const pivot = l[ofJ + j]!;
        l[ofI + j] = pivot === 0 ? 0 : rest / pivot;
      }
    }
  }
  return { ...transposed(lower), isUpper: true };
}
