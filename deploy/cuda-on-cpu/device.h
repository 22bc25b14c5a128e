// What a kernel finds on a card, played by the processor: its threads are coroutines that take turns where they wait for
// each other. In which order they run is changed by LC_THREADS=reverse; shared memory starts as NaN, so that a kernel which
// forgets to wait or to write is found out. A block whose threads do not all come to a barrier ends the program.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
using std::abs, std::ceil, std::cos, std::erf, std::exp, std::exp2, std::floor, std::isinf, std::isnan, std::log, std::log1p, std::log2;
using std::pow, std::round, std::sin, std::sqrt, std::tanh, std::trunc;

// Of numbers of any types; of a number and something that is none, the number.
template <class A, class B> static auto max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return T(std::fmax(T(a), T(b)));
    else return T(a) > T(b) ? T(a) : T(b);
}
template <class A, class B> static auto min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return T(std::fmin(T(a), T(b)));
    else return T(a) < T(b) ? T(a) : T(b);
}

struct Dimensions {
    unsigned x, y, z;
};
static Dimensions threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;
alignas(1024) unsigned char dynamic_shared_mem[232448];

// Saves what a function must keep and the stack, and goes on with another.
asm(R"(
.local lc_switch
lc_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
extern "C" void lc_switch(void **from, void *to) __attribute__((visibility("hidden")));

enum class State { Ready, Warp, Block, Done };

struct Thread {
    std::vector<char> stack = std::vector<char>(128 * 1024);
    void *at = nullptr;
    State state = State::Ready;
    Dimensions index;
    unsigned operations = 0;
};

struct Warp {
    // Two, so that a thread may write its next value while others still read.
    uint64_t values[2][32];
};

// Of the factors of a product of matrices, again two.
struct Shares {
    uint32_t a[32][4], b[32][2];
};

static std::vector<Thread> threads;
static std::vector<Warp> warps;
static std::vector<std::array<Shares, 2>> shares;
static Thread *current;
static void *scheduler;
static void **parameters_of_kernel;
static void (*kernel_body)(void **);

static inline void wait_for(State state) {
    current->state = state;
    lc_switch(&current->at, scheduler);
}

static void thread_body() {
    kernel_body(parameters_of_kernel);
    wait_for(State::Done);
}

static void start(Thread &thread) {
    auto *top = reinterpret_cast<void **>(reinterpret_cast<uintptr_t>(thread.stack.data() + thread.stack.size()) & ~uintptr_t(15));
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(&thread_body);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    thread.at = top;
    thread.state = State::Ready;
    thread.operations = 0;
}

// Lets those go on that all have come to `state`; whether there were any.
static bool release(size_t first, size_t end, State state) {
    bool some = false;
    for (size_t i = first; i < end; i++) {
        if (threads[i].state == State::Done) continue;
        if (threads[i].state != state) return false;
        some = true;
    }
    for (size_t i = first; some && i < end; i++) {
        if (threads[i].state == state) threads[i].state = State::Ready;
    }
    return some;
}

static void run_block(bool reverse) {
    const size_t count = threads.size();
    for (size_t i = 0; i < sizeof(dynamic_shared_mem); i++) dynamic_shared_mem[i] = 0xff;
    for (auto &thread : threads) start(thread);
    for (;;) {
        bool moved = false;
        for (size_t first = 0; first < count; first += 32) {
            const size_t end = std::min(first + 32, count);
            do {
                for (size_t i = first; i < end; i++) {
                    Thread &thread = threads[reverse ? first + end - 1 - i : i];
                    if (thread.state != State::Ready) continue;
                    moved = true;
                    current = &thread;
                    threadIdx = thread.index;
                    lc_switch(&scheduler, thread.at);
                }
            } while (release(first, end, State::Warp));
        }
        if (release(0, count, State::Block)) continue;
        if (std::all_of(threads.begin(), threads.end(), [](const Thread &t) { return t.state == State::Done; })) return;
        if (!moved) {
            std::fprintf(stderr, "a kernel's threads wait for each other at different places\n");
            std::abort();
        }
    }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **parameters, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<std::remove_reference_t<A>> *>(parameters[I])...);
}
template <class... A> static void call(void (*kernel)(A...), void **parameters) {
    call(kernel, parameters, std::index_sequence_for<A...>());
}

static void run(void **parameters, const unsigned *grid, const unsigned *block) {
    const char *order = std::getenv("LC_THREADS");
    const bool reverse = order && std::strcmp(order, "reverse") == 0;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    parameters_of_kernel = parameters;
    const size_t count = size_t(block[0]) * block[1] * block[2];
    threads.resize(count);
    warps.resize((count + 31) / 32);
    shares.resize(warps.size());
    for (unsigned i = 0; i < count; i++) threads[i].index = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                run_block(reverse);
            }
}

#define RUN_ON_PROCESSOR(kernel)                                                                                                 \
    extern "C" void run_on_processor(void **parameters, const unsigned *grid, const unsigned *block, unsigned) {                \
        kernel_body = [](void **given) { call(&kernel, given); };                                                               \
        run(parameters, grid, block);                                                                                            \
    }

// Waiting.
static inline void __syncthreads() { wait_for(State::Block); }
static inline void __syncwarp() { wait_for(State::Warp); }
static inline void __threadfence() {}

// Exchanges within a warp.
static inline unsigned lane() { return (current - threads.data()) % 32; }

template <class T> static T of_lane(T value, unsigned from) {
    static_assert(sizeof(T) <= 8);
    auto &warp = warps[(current - threads.data()) / 32];
    auto &values = warp.values[current->operations++ % 2];
    std::memcpy(&values[lane()], &value, sizeof(T));
    wait_for(State::Warp);
    T found;
    std::memcpy(&found, &values[from % 32], sizeof(T));
    return found;
}
template <class T> static T __shfl_sync(unsigned, T value, unsigned from) { return of_lane(value, from); }
template <class T> static T __shfl_xor_sync(unsigned, T value, unsigned mask) { return of_lane(value, lane() ^ mask); }
template <class T> static T __shfl_up_sync(unsigned, T value, unsigned by) {
    return of_lane(value, lane() >= by ? lane() - by : lane());
}
template <class T> static T __shfl_down_sync(unsigned, T value, unsigned by) {
    return of_lane(value, lane() + by < 32 ? lane() + by : lane());
}
static inline unsigned __ballot_sync(unsigned, bool value) {
    unsigned all = 0;
    for (unsigned i = 0; i < 32; i++) all |= unsigned(of_lane(int(value), i)) << i;
    return all;
}
static inline bool __all_sync(unsigned mask, bool value) { return __ballot_sync(mask, value) == ~0u; }
static inline bool __any_sync(unsigned mask, bool value) { return __ballot_sync(mask, value) != 0; }

// Numbers.
struct __nv_bfloat16 {
    uint16_t bits;
    __nv_bfloat16() = default;
    __nv_bfloat16(float value) {
        uint32_t all;
        std::memcpy(&all, &value, 4);
        bits = value != value ? 0x7fff : uint16_t((all + 0x7fff + (all >> 16 & 1)) >> 16);
    }
    operator float() const {
        const uint32_t all = uint32_t(bits) << 16;
        float value;
        std::memcpy(&value, &all, 4);
        return value;
    }
};
struct __nv_bfloat162 {
    __nv_bfloat16 x, y;
};
using __half = _Float16;
static inline float rsqrtf(float x) { return 1 / std::sqrt(x); }
static inline float rsqrt(float x) { return 1 / std::sqrt(x); }
static inline double rsqrt(double x) { return 1 / std::sqrt(x); }
#define __tanhf tanhf
#define __expf expf
#define __logf logf
static inline float __fdividef(float x, float y) { return x / y; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline unsigned __umulhi(unsigned x, unsigned y) { return unsigned(uint64_t(x) * y >> 32); }
static inline float __uint_as_float(unsigned x) { float y; return std::memcpy(&y, &x, 4), y; }
static inline unsigned __float_as_uint(float x) { unsigned y; return std::memcpy(&y, &x, 4), y; }
static inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
static inline float __bfloat162float(__nv_bfloat16 x) { return x; }
template <class T> static T atomicAdd(T *at, T value) { T before = *at; *at += value; return before; }

#define VECTORS(scalar, name)                                                                                                    \
    struct alignas(2 * sizeof(scalar)) name##2 { scalar x, y; };                                                                 \
    struct name##3 { scalar x, y, z; };                                                                                          \
    struct alignas(4 * sizeof(scalar) > 16 ? 16 : 4 * sizeof(scalar)) name##4 { scalar x, y, z, w; };
VECTORS(char, char)
VECTORS(unsigned char, uchar)
VECTORS(short, short)
VECTORS(unsigned short, ushort)
VECTORS(int, int)
VECTORS(unsigned int, uint)
VECTORS(long, long)
VECTORS(unsigned long, ulong)
VECTORS(float, float)
VECTORS(double, double)
static inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// Units for matrices, instruction by instruction. Which thread holds what is drawn in the PTX manual.
static inline float half_of(uint32_t pair, int which) {
    __nv_bfloat16 value;
    value.bits = uint16_t(pair >> 16 * which);
    return value;
}

// mma.m16n8k16, bf16 factors and float sums.
static void mma_m16n8k16(uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1, float c0, float c1,
                         float c2, float c3, float &d0, float &d1, float &d2, float &d3) {
    auto &all = shares[(current - threads.data()) / 32][current->operations++ % 2];
    const uint32_t a[] = {a0, a1, a2, a3}, b[] = {b0, b1};
    std::memcpy(all.a[lane()], a, sizeof a);
    std::memcpy(all.b[lane()], b, sizeof b);
    wait_for(State::Warp);
    float d[] = {c0, c1, c2, c3};
    for (int at = 0; at < 4; at++) {
        const int row = at / 2 * 8 + lane() / 4, column = lane() % 4 * 2 + at % 2;
        for (int k = 0; k < 16; k++) {
            const uint32_t left = all.a[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2];
            const uint32_t right = all.b[column * 4 + k % 8 / 2][k / 8];
            d[at] += half_of(left, k % 2) * half_of(right, k % 2);
        }
    }
    d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3];
}

// Rows of matrices of 8 x 8 numbers of 16 bits: each thread names one, all learn where each lies.
static const uint64_t *rows_of_warp(const void *row) {
    if (reinterpret_cast<uintptr_t>(row) % 16) {
        std::fprintf(stderr, "a row of a matrix is not aligned\n");
        std::abort();
    }
    auto &values = warps[(current - threads.data()) / 32].values[current->operations++ % 2];
    values[lane()] = reinterpret_cast<uintptr_t>(row);
    wait_for(State::Warp);
    return values;
}

// A thread's pair of entries of a matrix.
static inline uint16_t *entry(const uint64_t *rows, int matrix, bool transposed, int which) {
    const int own = lane() / 4, other = lane() % 4 * 2 + which;
    return reinterpret_cast<uint16_t *>(rows[matrix * 8 + (transposed ? other : own)]) + (transposed ? own : other);
}

// ldmatrix and stmatrix.
template <int N> static void load_matrices(bool transposed, const void *row, uint32_t *const (&registers)[N]) {
    const uint64_t *rows = rows_of_warp(row);
    for (int matrix = 0; matrix < N; matrix++) {
        *registers[matrix] = *entry(rows, matrix, transposed, 0) | uint32_t(*entry(rows, matrix, transposed, 1)) << 16;
    }
}
template <int N> static void store_matrices(bool transposed, void *row, const uint32_t (&registers)[N]) {
    const uint64_t *rows = rows_of_warp(row);
    for (int matrix = 0; matrix < N; matrix++) {
        for (int which = 0; which < 2; which++) {
            *entry(rows, matrix, transposed, which) = uint16_t(registers[matrix] >> 16 * which);
        }
    }
    wait_for(State::Warp);
}
