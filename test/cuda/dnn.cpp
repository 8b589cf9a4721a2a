// In place of NVIDIA's libcudnn: its reductions, which are all that the graphs ask of it. Numbers of arguments' values are those of
// cudnn_graph.h and cudnn_ops.h.
#include <cmath>
#include <cstdlib>
#include <vector>

#include "numbers.h"

namespace {

enum Operation { add, multiply, minimum, maximum, largest, average, norm1, norm2 };

struct Tensor {
  Type type;
  std::vector<int> sizes, strides;
};

size_t count_of(const Tensor& tensor) {
  size_t count = 1;
  for (int size : tensor.sizes) count *= size;
  return count;
}

double first(Operation operation, double value) {
  if (operation == norm2) return value * value;
  return operation == norm1 || operation == largest ? std::fabs(value) : value;
}

double join(Operation operation, double sum, double value) {
  switch (operation) {
    case multiply: return sum * value;
    case minimum: return value < sum || std::isnan(value) ? value : sum;
    case maximum: return value > sum || std::isnan(value) ? value : sum;
    case largest: return std::fmax(sum, std::fabs(value));
    case norm1: return sum + std::fabs(value);
    case norm2: return sum + value * value;
    default: return sum + value;
  }
}

}  // namespace

extern "C" {

int cudnnCreate(void** handle) { return *handle = malloc(8), 0; }
int cudnnDestroy(void* handle) { return free(handle), 0; }
int cudnnSetStream(void*, void*) { return 0; }
size_t cudnnGetVersion() { return 91000; }
const char* cudnnGetErrorString(int) { return "an error of the emulated library"; }

int cudnnCreateTensorDescriptor(Tensor** tensor) { return *tensor = new Tensor{}, 0; }
int cudnnDestroyTensorDescriptor(Tensor* tensor) { return delete tensor, 0; }
int cudnnSetTensorNdDescriptor(Tensor* tensor, Type type, int rank, const int sizes[], const int strides[]) {
  check(type, "a reduction");
  *tensor = {type, {sizes, sizes + rank}, {strides, strides + rank}};
  return 0;
}
int cudnnCreateReduceTensorDescriptor(Operation** reduction) { return *reduction = new Operation{}, 0; }
int cudnnDestroyReduceTensorDescriptor(Operation* reduction) { return delete reduction, 0; }
int cudnnSetReduceTensorDescriptor(Operation* reduction, Operation operation, int, int, int, int) {
  return *reduction = operation, 0;
}
int cudnnGetReductionWorkspaceSize(void*, Operation*, Tensor*, Tensor*, size_t* bytes) { return *bytes = 256, 0; }
int cudnnGetReductionIndicesSize(void*, Operation*, Tensor*, Tensor*, size_t* bytes) { return *bytes = 256, 0; }

int cudnnReduceTensor(void*, Operation* reduction, void*, size_t, void*, size_t, const float* alpha, Tensor* from,
                      const void* values, const float* beta, Tensor* to, void* results) {
  const size_t count = count_of(*from), rest = count_of(*to);
  std::vector<double> sums(rest);
  std::vector<bool> is_begun(rest, false);
  std::vector<size_t> places(rest);
  for (size_t i = 0; i < count; i++) {
    size_t left = i, at = 0, place = 0, result = 0, step = 1;
    for (int axis = static_cast<int>(from->sizes.size()) - 1; axis >= 0; axis--) {
      const size_t index = left % from->sizes[axis];
      left /= from->sizes[axis];
      at += index * from->strides[axis];
      if (to->sizes[axis] == 1) continue;
      place += index * to->strides[axis];
      result += index * step;
      step *= to->sizes[axis];
    }
    const double value = get(values, from->type, at);
    sums[result] = is_begun[result] ? join(*reduction, sums[result], value) : first(*reduction, value);
    is_begun[result] = true;
    places[result] = place;
  }
  for (size_t i = 0; i < rest; i++) {
    double value = sums[i];
    if (*reduction == average) value /= static_cast<double>(count / rest);
    if (*reduction == norm2) value = std::sqrt(value);
    const float before = *beta == 0 ? 0 : *beta * get(results, to->type, places[i]);
    set(results, to->type, places[i], static_cast<float>(*alpha * value) + before);
  }
  return 0;
}
}
