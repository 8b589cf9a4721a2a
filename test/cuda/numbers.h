// Numbers of the two types that the graphs compute in; cudaDataType and cudnnDataType_t agree on them.
#pragma once
#include <cstdio>
#include <cstdlib>

enum Type { float32 = 0, float16 = 2 };

inline size_t size_of(Type type) { return type == float32 ? 4 : 2; }

inline void check(Type type, const char* what) {
  if (type == float32 || type == float16) return;
  fprintf(stderr, "emulated CUDA: %s of type %d\n", what, type);
  _Exit(97);
}

inline float get(const void* values, Type type, size_t at) {
  if (type == float32) return static_cast<const float*>(values)[at];
  return static_cast<float>(static_cast<const _Float16*>(values)[at]);
}

inline void set(void* values, Type type, size_t at, float value) {
  if (type == float32) static_cast<float*>(values)[at] = value;
  else static_cast<_Float16*>(values)[at] = static_cast<_Float16>(value);
}
