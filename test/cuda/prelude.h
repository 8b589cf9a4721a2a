// What the instructions of translated kernels are made of.
#include <immintrin.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thread.h"

typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define SAME_BITS(name, From, To)       \
  static inline To name(From value) {   \
    To same;                            \
    memcpy(&same, &value, sizeof same); \
    return same;                        \
  }
SAME_BITS(F, u32, float)
SAME_BITS(B, float, u32)
SAME_BITS(D, u64, double)
SAME_BITS(DB, double, u64)
SAME_BITS(half_of, uint16_t, _Float16)
SAME_BITS(bits_of_half, _Float16, uint16_t)
static inline float H(u32 bits) { return (float)half_of(bits); }
static inline u32 HB(double value) { return bits_of_half((_Float16)value); }

#define READ(name, Type)                                 \
  static inline Type name(const uint8_t* bank, u32 at) { \
    Type value;                                          \
    memcpy(&value, bank + at, sizeof value);             \
    return value;                                        \
  }
READ(c32, u32)
READ(c64, u64)

static inline float ftz(float x) { return fabsf(x) < 1.17549435e-38f ? copysignf(0.f, x) : x; }
static inline float sat(float x) { return x != x ? 0.f : x < 0 ? 0.f : x > 1 ? 1.f : x; }

// Roundings as in MXCSR: 0 to nearest, 1 down, 2 up, 3 to zero.
static inline u32 round_to(int mode) {
  u32 old = _mm_getcsr();
  _mm_setcsr((old & ~0x6000u) | (u32)mode << 13);
  return old;
}
static inline float fma_r(float a, float b, float c, int mode) {
  u32 old = round_to(mode);
  asm volatile("vfmadd213ss %2,%1,%0" : "+x"(a) : "x"(b), "x"(c));
  volatile float result = a;
  _mm_setcsr(old);
  return result;
}
#define ROUNDED(name, instruction)                            \
  static inline float name(float a, float b, int mode) {      \
    u32 old = round_to(mode);                                 \
    asm volatile(instruction " %1,%0,%0" : "+x"(a) : "x"(b)); \
    volatile float result = a;                                \
    _mm_setcsr(old);                                          \
    return result;                                            \
  }
ROUNDED(add_r, "vaddss")
ROUNDED(mul_r, "vmulss")
static inline float from_u64(u64 value, int mode) {
  float x = (float)value;
  if (mode == 2 && (long double)x < (long double)value) x = nextafterf(x, INFINITY);
  if ((mode == 1 || mode == 3) && (long double)x > (long double)value) x = nextafterf(x, 0.f);
  return x;
}
static inline float from_s64(s64 value, int mode) {
  float x = (float)value;
  if (mode == 2 && (long double)x < (long double)value) x = nextafterf(x, INFINITY);
  if (mode == 1 && (long double)x > (long double)value) x = nextafterf(x, -INFINITY);
  if (mode == 3 && fabsl((long double)x) > fabsl((long double)value)) x = nextafterf(x, 0.f);
  return x;
}
static inline float whole(float x, int mode) {
  return mode == 0 ? nearbyintf(x) : mode == 1 ? floorf(x) : mode == 2 ? ceilf(x) : truncf(x);
}
static inline u32 to_u32(float x) { return x != x || x <= 0 ? 0 : x >= 4294967296.f ? 0xffffffffu : (u32)x; }
static inline s32 to_s32(float x) { return x != x ? 0 : x <= -2147483648.f ? INT32_MIN : x >= 2147483648.f ? INT32_MAX : (s32)x; }
static inline u64 to_u64(double x) { return x != x ? 1ull << 63 : x <= 0 ? 0 : x >= 18446744073709551616. ? ~0ull : (u64)x; }
static inline s64 to_s64(double x) {
  return x != x || x <= -9223372036854775808. ? INT64_MIN : x >= 9223372036854775808. ? INT64_MAX : (s64)x;
}

static inline u32 shift(int left, int is_64, int is_signed, int high, u32 low_word, u32 by, u32 high_word, int wraps) {
  const u32 most = is_64 ? 64 : 32;
  by = wraps ? by & (most - 1) : by > most ? most : by;
  const u64 value = (u64)high_word << 32 | low_word;
  const u64 result = left        ? (by >= 64 ? 0 : value << by)
                     : is_signed ? (u64)((s64)value >> (by >= 64 ? 63 : by))
                                 : (by >= 64 ? 0 : value >> by);
  return high ? (u32)(result >> 32) : (u32)result;
}
static inline u32 lop3(u32 a, u32 b, u32 c, int table) {
  u32 result = 0;
  for (int i = 0; i < 8; i++) {
    if (table >> i & 1) result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  }
  return result;
}
static inline u32 prmt(u32 a, u32 selectors, u32 b) {
  const u64 bytes = (u64)b << 32 | a;
  u32 result = 0;
  for (int i = 0; i < 4; i++) {
    const u32 selector = selectors >> 4 * i & 15;
    u32 byte = bytes >> 8 * (selector & 7) & 255;
    if (selector & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * i;
  }
  return result;
}
static inline u32 reversed(u32 x) {
  u32 result = 0;
  for (int i = 0; i < 32; i++) result |= (x >> i & 1) << (31 - i);
  return result;
}
// Whether a quotient needs the long way, which is right for all.
static inline int fchk(float a, float b) {
  a = fabsf(a), b = fabsf(b);
  return !(a > 1e-25f && a < 1e25f && b > 1e-25f && b < 1e25f);
}
// −x as a summand of 33 bits, so that the carry is that of ~x + 1.
static inline u64 negated(u32 x) { return (u64)(u32)~x + 1; }
