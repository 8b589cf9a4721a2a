// What a kernel that was translated to C knows of its thread, and how it meets others.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum Operation {
  barrier = 1,
  warp_sync,
  shuffle_index,
  shuffle_up,
  shuffle_down,
  shuffle_butterfly,
  vote_any,
  vote_all,
  vote_equal,
};

typedef struct Thread {
  uint32_t tid[3], ctaid[3], ntid[3], nctaid[3];
  uint32_t lane;
  const uint8_t* constants[5];  // c[0x0] with sizes and parameters, c[0x2] to c[0x4] of the kernel
  uint8_t *shared, *local;
  // of the operation that it waits in: where, with which operands, and what came of it
  enum Operation operation;
  uint32_t place, a, b, c, result;
  int predicate;
  // of its fibre
  enum { ready, waiting, done } state;
  void* stack_pointer;
} Thread;

// Waits until the lanes of the warp that are at the same place have come, or for a barrier all threads of the block.
void emulated_meet(Thread* thread, enum Operation operation, uint32_t place);

#ifdef __cplusplus
}
#endif
