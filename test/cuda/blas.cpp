// In place of NVIDIA's libcublas and libcublasLt: the products that ONNX Runtime asks for, as loops. Numbers of arguments' values
// are those of cublas_api.h and library_types.h.
#include <cstdlib>
#include <vector>

#include "numbers.h"

namespace {

enum Transposition { plain = 0, transposed = 1 };  // cublasOperation_t
constexpr int compute_float16 = 64;                // cublasComputeType_t

// op(matrix) [rows, inner], row after row.
std::vector<float> packed(const void* matrix, Type type, Transposition operation, int rows, int inner, int stride) {
  std::vector<float> values(static_cast<size_t>(rows) * inner);
  for (int row = 0; row < rows; row++) {
    for (int i = 0; i < inner; i++) {
      const size_t at = operation == plain ? static_cast<size_t>(i) * stride + row : static_cast<size_t>(row) * stride + i;
      values[static_cast<size_t>(row) * inner + i] = get(matrix, type, at);
    }
  }
  return values;
}

struct Matrix {
  const void* values;
  Type type;
  Transposition operation;
  int stride;
};

// c [m, n] = alpha op(a) [m, k] op(b) [k, n] + beta c, all of them column after column
void product(int m, int n, int k, float alpha, Matrix a, Matrix b, float beta, void* c, Type type, int stride) {
  for (Type each : {a.type, b.type, type}) check(each, "a product");
  const std::vector<float> rows = packed(a.values, a.type, a.operation, m, k, a.stride);
  const std::vector<float> columns = packed(b.values, b.type, b.operation == plain ? transposed : plain, n, k, b.stride);
  for (int column = 0; column < n; column++) {
    for (int row = 0; row < m; row++) {
      const float *left = &rows[static_cast<size_t>(row) * k], *right = &columns[static_cast<size_t>(column) * k];
      float sum = 0;
      for (int i = 0; i < k; i++) sum += left[i] * right[i];
      const size_t at = static_cast<size_t>(column) * stride + row;
      set(c, type, at, alpha * sum + (beta == 0 ? 0 : beta * get(c, type, at)));
    }
  }
}

float scalar(const void* value, int compute) { return get(value, compute == compute_float16 ? float16 : float32, 0); }

const void* at(const void* matrix, Type type, long long elements) {
  return static_cast<const char*>(matrix) + elements * static_cast<long long>(size_of(type));
}

}  // namespace

extern "C" {

int cublasCreate_v2(void** handle) { return *handle = malloc(8), 0; }
int cublasDestroy_v2(void* handle) { return free(handle), 0; }
int cublasSetStream_v2(void*, void*) { return 0; }
int cublasGetMathMode(void*, int* mode) { return *mode = 0, 0; }
int cublasSetMathMode(void*, int) { return 0; }
int cublasLtCreate(void** handle) { return *handle = malloc(8), 0; }
int cublasLtDestroy(void* handle) { return free(handle), 0; }

int cublasGemmStridedBatchedEx(void*, Transposition ta, Transposition tb, int m, int n, int k, const void* alpha, const void* a,
                               Type type_a, int stride_a, long long step_a, const void* b, Type type_b, int stride_b,
                               long long step_b, const void* beta, void* c, Type type_c, int stride_c, long long step_c, int count,
                               int compute, int) {
  for (int i = 0; i < count; i++) {
    product(m, n, k, scalar(alpha, compute), {at(a, type_a, i * step_a), type_a, ta, stride_a},
            {at(b, type_b, i * step_b), type_b, tb, stride_b}, scalar(beta, compute), const_cast<void*>(at(c, type_c, i * step_c)),
            type_c, stride_c);
  }
  return 0;
}
int cublasGemmEx(void* handle, Transposition ta, Transposition tb, int m, int n, int k, const void* alpha, const void* a,
                 Type type_a, int stride_a, const void* b, Type type_b, int stride_b, const void* beta, void* c, Type type_c,
                 int stride_c, int compute, int algorithm) {
  return cublasGemmStridedBatchedEx(handle, ta, tb, m, n, k, alpha, a, type_a, stride_a, 0, b, type_b, stride_b, 0, beta, c, type_c,
                                    stride_c, 0, 1, compute, algorithm);
}
int cublasSgemmStridedBatched(void* handle, Transposition ta, Transposition tb, int m, int n, int k, const float* alpha,
                              const float* a, int stride_a, long long step_a, const float* b, int stride_b, long long step_b,
                              const float* beta, float* c, int stride_c, long long step_c, int count) {
  return cublasGemmStridedBatchedEx(handle, ta, tb, m, n, k, alpha, a, float32, stride_a, step_a, b, float32, stride_b, step_b,
                                    beta, c, float32, stride_c, step_c, count, 0, 0);
}
int cublasSgemm_v2(void* handle, Transposition ta, Transposition tb, int m, int n, int k, const float* alpha, const float* a,
                   int stride_a, const float* b, int stride_b, const float* beta, float* c, int stride_c) {
  return cublasSgemmStridedBatched(handle, ta, tb, m, n, k, alpha, a, stride_a, 0, b, stride_b, 0, beta, c, stride_c, 0, 1);
}
int cublasGemmBatchedEx(void* handle, Transposition ta, Transposition tb, int m, int n, int k, const void* alpha,
                        const void* const a[], Type type_a, int stride_a, const void* const b[], Type type_b, int stride_b,
                        const void* beta, void* const c[], Type type_c, int stride_c, int count, int compute, int algorithm) {
  for (int i = 0; i < count; i++) {
    cublasGemmEx(handle, ta, tb, m, n, k, alpha, a[i], type_a, stride_a, b[i], type_b, stride_b, beta, c[i], type_c, stride_c,
                 compute, algorithm);
  }
  return 0;
}
int cublasSgemmBatched(void* handle, Transposition ta, Transposition tb, int m, int n, int k, const float* alpha,
                       const float* const a[], int stride_a, const float* const b[], int stride_b, const float* beta,
                       float* const c[], int stride_c, int count) {
  for (int i = 0; i < count; i++)
    cublasSgemm_v2(handle, ta, tb, m, n, k, alpha, a[i], stride_a, b[i], stride_b, beta, c[i], stride_c);
  return 0;
}
// c = alpha op(a) + beta op(b), [m, n]
int cublasSgeam(void*, Transposition ta, Transposition tb, int m, int n, const float* alpha, const float* a, int stride_a,
                const float* beta, const float* b, int stride_b, float* c, int stride_c) {
  const auto term = [](float factor, const float* matrix, Transposition operation, int stride, size_t row, size_t column) {
    return factor == 0 ? 0 : factor * matrix[operation == plain ? column * stride + row : row * stride + column];
  };
  std::vector<float> sums(static_cast<size_t>(m) * n);  // c may be a or b
  for (int column = 0; column < n; column++) {
    for (int row = 0; row < m; row++) {
      sums[static_cast<size_t>(column) * m + row] =
          term(*alpha, a, ta, stride_a, row, column) + term(*beta, b, tb, stride_b, row, column);
    }
  }
  for (int column = 0; column < n; column++) {
    for (int row = 0; row < m; row++) c[static_cast<size_t>(column) * stride_c + row] = sums[static_cast<size_t>(column) * m + row];
  }
  return 0;
}
int cublasScopy_v2(void*, int count, const float* from, int step_from, float* to, int step_to) {
  for (int i = 0; i < count; i++) to[static_cast<size_t>(i) * step_to] = from[static_cast<size_t>(i) * step_from];
  return 0;
}
int cublasSscal_v2(void*, int count, const float* factor, float* values, int step) {
  for (int i = 0; i < count; i++) values[static_cast<size_t>(i) * step] *= *factor;
  return 0;
}
}
