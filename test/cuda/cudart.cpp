// In place of NVIDIA's libcudart: memory is the machine's, streams do at once what they are told, and a kernel is translated to C
// by translate.py when it is launched first, and run thread by thread.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "thread.h"

namespace {

struct Parameter {
  uint32_t offset, size;
};

struct Kernel {
  std::string name;
  void (*run)(Thread*) = nullptr;
  bool is_alone = false;  // its threads never meet
  uint32_t shared_bytes = 0;
  std::vector<Parameter> parameters;
  const uint8_t* constants[5] = {};
};

std::recursive_mutex launching;

// Both are filled by the initialisers of other libraries, perhaps before this one's.
std::unordered_map<std::string, Kernel*>& kernels_by_name() {
  static auto* kernels = new std::unordered_map<std::string, Kernel*>;
  return *kernels;
}
std::unordered_map<const void*, Kernel*>& kernels_by_stub() {
  static auto* kernels = new std::unordered_map<const void*, Kernel*>;
  return *kernels;
}

[[noreturn]] void give_up(const std::string& problem) {
  fprintf(stderr, "emulated CUDA: %s\n", problem.c_str());
  _exit(99);
}

std::string setting(const char* name) {
  const char* value = getenv(name);
  if (!value) give_up(std::string(name) + " is not set; start with run.sh");
  return value;
}

void translate(Kernel* kernel) {
  if (kernel->run) return;
  const std::string number = std::to_string(std::hash<std::string>{}(kernel->name));
  const std::string library = setting("EMULATED_CUDA") + "/kernels/" + number + ".so";
  if (access(library.c_str(), F_OK) != 0) {
    const std::string command = setting("EMULATED_CUDA_TRANSLATE") + " translate '" + kernel->name + "' '" + library + "'";
    if (system(command.c_str()) != 0) give_up("no code for " + kernel->name);
  }
  void* code = dlopen(library.c_str(), RTLD_NOW);
  if (!code) give_up(dlerror());
  kernel->is_alone = *static_cast<int*>(dlsym(code, "is_alone"));
  kernel->shared_bytes = *static_cast<int*>(dlsym(code, "shared_bytes"));
  const int count = *static_cast<int*>(dlsym(code, "parameter_count"));
  const auto* parameters = static_cast<Parameter*>(dlsym(code, "parameters"));
  kernel->parameters.assign(parameters, parameters + count);
  for (int bank = 2; bank < 5; bank++) {
    const std::string symbol = "constants" + std::to_string(bank);
    kernel->constants[bank] = static_cast<uint8_t*>(dlsym(code, symbol.c_str()));
  }
  kernel->run = reinterpret_cast<void (*)(Thread*)>(dlsym(code, "kernel"));
}

// ---- threads of a block as fibres ----

extern "C" void emulated_switch(void** from, void* to);
asm(R"(
.text
.globl emulated_switch
.type emulated_switch,@function
emulated_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");

constexpr size_t stack_bytes = 48 * 1024;
constexpr size_t most_threads = 1024;
constexpr unsigned warp_size = 32;

struct {
  void (*run)(Thread*);
  Thread* current;
  void* stack_pointer;  // of the scheduler
} block;

void begin() {
  Thread* thread = block.current;
  block.run(thread);
  thread->state = Thread::done;
  emulated_switch(&thread->stack_pointer, block.stack_pointer);
  abort();
}

// shfl as the PTX ISA describes it; `mask` has the lanes that are there.
void shuffle(Thread* warp, Thread& thread, uint32_t mask) {
  const unsigned clamp = thread.c & 31, segments = (thread.c >> 8) & 31, by = thread.b & 31;
  const int least = thread.lane & segments, most = least | (clamp & ~segments);
  int source;
  switch (thread.operation) {
    case shuffle_up: source = static_cast<int>(thread.lane) - by; break;
    case shuffle_down: source = thread.lane + by; break;
    case shuffle_butterfly: source = thread.lane ^ by; break;
    default: source = least | (by & ~segments);
  }
  thread.predicate = thread.operation == shuffle_up ? source >= most : source <= most;
  if (!thread.predicate) source = thread.lane;
  thread.result = (mask >> source) & 1 ? warp[source].a : 0;
}

void resolve(Thread* warp, Thread& thread, uint32_t mask, uint32_t ballot) {
  switch (thread.operation) {
    case warp_sync: break;
    case vote_any: thread.result = ballot, thread.predicate = ballot != 0; break;
    case vote_all: thread.result = ballot, thread.predicate = ballot == mask; break;
    case vote_equal: thread.result = ballot, thread.predicate = ballot == mask || ballot == 0; break;
    default: shuffle(warp, thread, mask);
  }
}

// Runs a warp until all its lanes have ended or wait at a barrier. Of lanes that wait at several places those at the first one in
// the code meet, since the others wait for them behind a branch.
void run_warp(Thread* warp, size_t lanes) {
  for (;;) {
    for (size_t i = 0; i < lanes; i++) {
      if (warp[i].state != Thread::ready) continue;
      block.current = &warp[i];
      emulated_switch(&block.stack_pointer, warp[i].stack_pointer);
    }
    uint32_t place = UINT32_MAX, mask = 0, ballot = 0;
    for (size_t i = 0; i < lanes; i++) {
      if (warp[i].state == Thread::waiting && warp[i].operation != barrier) place = std::min(place, warp[i].place);
    }
    if (place == UINT32_MAX) return;
    for (size_t i = 0; i < lanes; i++) {
      if (warp[i].state != Thread::waiting || warp[i].place != place) continue;
      mask |= 1u << i;
      if (warp[i].a) ballot |= 1u << i;
    }
    for (size_t i = 0; i < lanes; i++) {
      if ((mask >> i) & 1) resolve(warp, warp[i], mask, ballot);
    }
    for (size_t i = 0; i < lanes; i++) {
      if ((mask >> i) & 1) warp[i].state = Thread::ready;
    }
  }
}

void run_block(const Kernel& kernel, std::vector<Thread>& threads) {
  static auto* stacks = static_cast<uint8_t*>(
      mmap(nullptr, stack_bytes * most_threads, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  block.run = kernel.run;
  for (size_t i = 0; i < threads.size(); i++) {
    void** top = reinterpret_cast<void**>(stacks + stack_bytes * (i + 1) - 64);
    *--top = reinterpret_cast<void*>(begin);
    for (int saved = 0; saved < 6; saved++) *--top = nullptr;
    threads[i].stack_pointer = top;
    threads[i].state = Thread::ready;
  }
  for (bool is_done = false; !is_done;) {
    for (size_t start = 0; start < threads.size(); start += warp_size) {
      run_warp(&threads[start], std::min<size_t>(warp_size, threads.size() - start));
    }
    is_done = true;
    for (Thread& thread : threads) {  // all that are left are at the barrier
      if (thread.state == Thread::done) continue;
      thread.state = Thread::ready;
      is_done = false;
    }
  }
}

// ---- launches ----

constexpr size_t local_bytes = 8192;     // of a thread
constexpr size_t parameters_at = 0x160;  // in c[0x0] for compute capability 7.5

std::vector<uint8_t> sizes_and_parameters(const Kernel& kernel, dim3 grid, dim3 size, void** arguments) {
  std::vector<uint8_t> bank(parameters_at + 8192, 0);
  const uint32_t sizes[] = {size.x, size.y, size.z, grid.x, grid.y, grid.z};
  memcpy(bank.data(), sizes, sizeof sizes);
  const uint32_t stack_top = local_bytes - 64;
  memcpy(&bank[0x28], &stack_top, sizeof stack_top);
  for (size_t i = 0; i < kernel.parameters.size(); i++) {
    memcpy(&bank[parameters_at + kernel.parameters[i].offset], arguments[i], kernel.parameters[i].size);
  }
  return bank;
}

cudaError_t launch(Kernel* kernel, dim3 grid, dim3 size, void** arguments, size_t dynamic_shared) {
  std::lock_guard<std::recursive_mutex> lock(launching);
  const size_t count = static_cast<size_t>(size.x) * size.y * size.z;
  const bool is_possible = count > 0 && count <= most_threads && grid.x > 0 && grid.x <= 2147483647u && grid.y > 0 &&
                           grid.y <= 65535 && grid.z > 0 && grid.z <= 65535;
  if (!is_possible) give_up("an impossible launch of " + kernel->name);
  translate(kernel);
  const std::vector<uint8_t> bank = sizes_and_parameters(*kernel, grid, size, arguments);
  std::vector<uint8_t> shared(kernel->shared_bytes + dynamic_shared + 64), local(count * local_bytes);
  std::vector<Thread> threads(count);
  for (size_t i = 0; i < count; i++) {
    Thread& thread = threads[i] = {};
    thread.tid[0] = i % size.x, thread.tid[1] = i / size.x % size.y, thread.tid[2] = i / size.x / size.y;
    thread.ntid[0] = size.x, thread.ntid[1] = size.y, thread.ntid[2] = size.z;
    thread.nctaid[0] = grid.x, thread.nctaid[1] = grid.y, thread.nctaid[2] = grid.z;
    thread.lane = i % warp_size;
    std::copy(std::begin(kernel->constants), std::end(kernel->constants), thread.constants);
    thread.constants[0] = bank.data();
    thread.shared = shared.data();
    thread.local = local.data() + i * local_bytes;
  }
  for (unsigned z = 0; z < grid.z; z++) {
    for (unsigned y = 0; y < grid.y; y++) {
      for (unsigned x = 0; x < grid.x; x++) {
        std::fill(shared.begin(), shared.end(), 0xCD);  // what nobody wrote is no zero
        for (Thread& thread : threads) thread.ctaid[0] = x, thread.ctaid[1] = y, thread.ctaid[2] = z;
        if (!kernel->is_alone) run_block(*kernel, threads);
        else
          for (Thread& thread : threads) kernel->run(&thread);
      }
    }
  }
  return cudaSuccess;
}

cudaError_t allocate(void** pointer, size_t bytes) {
  *pointer = aligned_alloc(512, (bytes + 1023) / 512 * 512);
  return *pointer ? cudaSuccess : cudaErrorMemoryAllocation;
}

thread_local struct {
  dim3 grid, size;
  size_t shared;
  void* stream;
} configuration;

}  // namespace

extern "C" {

void emulated_meet(Thread* thread, Operation operation, uint32_t place) {
  thread->state = Thread::waiting;
  thread->operation = operation;
  thread->place = place;
  emulated_switch(&thread->stack_pointer, block.stack_pointer);
}

void** __cudaRegisterFatBinary(void* binary) { return static_cast<void**>(binary); }
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
void __cudaRegisterFunction(void**, const char* stub, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
  std::lock_guard<std::recursive_mutex> lock(launching);
  Kernel*& kernel = kernels_by_name()[name];
  if (!kernel) kernel = new Kernel{name};
  kernels_by_stub()[stub] = kernel;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 size, size_t shared, void* stream) {
  configuration = {grid, size, shared, stream};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* size, size_t* shared, void* stream) {
  *grid = configuration.grid, *size = configuration.size, *shared = configuration.shared;
  *static_cast<void**>(stream) = configuration.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* stub) {
  *kernel = reinterpret_cast<cudaKernel_t>(kernels_by_stub().at(stub));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 size, void** arguments, size_t shared, cudaStream_t) {
  return launch(reinterpret_cast<Kernel*>(kernel), grid, size, arguments, shared);
}
cudaError_t cudaLaunchKernel(const void* stub, dim3 grid, dim3 size, void** arguments, size_t shared, cudaStream_t) {
  return launch(kernels_by_stub().at(stub), grid, size, arguments, shared);
}

cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, cudaSuccess; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) { return *version = 13000, cudaSuccess; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* device, int) {
  memset(device, 0, sizeof *device);
  strcpy(device->name, "emulated");
  device->major = 7, device->minor = 5;
  device->totalGlobalMem = 16ull << 30;
  device->sharedMemPerBlock = 49152, device->sharedMemPerBlockOptin = device->sharedMemPerMultiprocessor = 65536;
  device->regsPerBlock = device->regsPerMultiprocessor = 65536;
  device->warpSize = warp_size;
  device->maxThreadsPerBlock = device->maxThreadsPerMultiProcessor = most_threads;
  device->maxThreadsDim[0] = device->maxThreadsDim[1] = most_threads, device->maxThreadsDim[2] = 64;
  device->maxGridSize[0] = 2147483647, device->maxGridSize[1] = device->maxGridSize[2] = 65535;
  device->multiProcessorCount = 4, device->maxBlocksPerMultiProcessor = 16;
  device->totalConstMem = 65536;
  device->unifiedAddressing = device->canMapHostMemory = 1;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  cudaDeviceProp device;
  cudaGetDeviceProperties(&device, 0);
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = device.multiProcessorCount; break;
    case cudaDevAttrComputeCapabilityMajor: *value = device.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = device.minor; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = device.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = device.sharedMemPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = device.sharedMemPerBlockOptin; break;
    case cudaDevAttrWarpSize: *value = device.warpSize; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = device.maxThreadsPerMultiProcessor; break;
    case cudaDevAttrMaxGridDimX: *value = device.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: *value = device.maxGridSize[1]; break;
    case cudaDevAttrMaxGridDimZ: *value = device.maxGridSize[2]; break;
    case cudaDevAttrMaxRegistersPerBlock: *value = device.regsPerBlock; break;
    default: *value = 0;
  }
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = most_threads;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 75;
  attributes->maxDynamicSharedSizeBytes = 49152;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return cudaSuccess; }
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int size, size_t, unsigned) {
  *blocks = most_threads / std::max(1, size);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) { return *free = 15ull << 30, *total = 16ull << 30, cudaSuccess; }
cudaError_t cudaMalloc(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
cudaError_t cudaMallocHost(void** pointer, size_t bytes) { return allocate(pointer, bytes); }
cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned) { return allocate(pointer, bytes); }
cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t, cudaStream_t) { return allocate(pointer, bytes); }
cudaError_t cudaFree(void* pointer) { return free(pointer), cudaSuccess; }
cudaError_t cudaFreeHost(void* pointer) { return free(pointer), cudaSuccess; }
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) { return free(pointer), cudaSuccess; }
cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind) { return memmove(to, from, bytes), cudaSuccess; }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  return memmove(to, from, bytes), cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height,
                              cudaMemcpyKind, cudaStream_t) {
  for (size_t row = 0; row < height; row++) {
    memmove(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  }
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, size_t bytes) { return memset(to, value, bytes), cudaSuccess; }
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) { return memset(to, value, bytes), cudaSuccess; }
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  memset(attributes, 0, sizeof *attributes);
  attributes->type = cudaMemoryTypeDevice;
  attributes->devicePointer = const_cast<void*>(pointer);
  return cudaSuccess;
}

// A stream or an event is no more than a name.
static cudaError_t name_of(void* handle) { return *static_cast<void**>(handle) = malloc(8), cudaSuccess; }
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return name_of(stream); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return name_of(stream); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { return free(stream), cudaSuccess; }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  return *status = cudaStreamCaptureStatusNone, cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* argument) { return function(argument), cudaSuccess; }
cudaError_t cudaEventCreate(cudaEvent_t* event) { return name_of(event); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return name_of(event); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return free(event), cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t) { return "cudaError"; }
const char* cudaGetErrorString(cudaError_t) { return "an error of the emulated runtime"; }
}
