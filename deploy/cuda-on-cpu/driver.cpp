// A CUDA driver (libcuda.so.1) for machines without a card: what lc-worker's CUDA backend asks of one. Memory is the
// host's. What compiler.cpp compiled is run on the processor, thread by thread (device.h); real PTX, compiled by NVIDIA's
// NVRTC, is only looked at and not run. With LC_LAUNCHES=FILE, names and sizes of all launches are written to that file.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>

namespace {
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, NOT_FOUND = 500 };

struct Module {
    void *library = nullptr;
};

struct Function {
    std::string name;
    void (*run)(void **parameters, const unsigned *grid, const unsigned *block, unsigned shared) = nullptr;
};

int stream_token, context_token;

int number(const char *name, int otherwise) {
    const char *text = std::getenv(name);
    return text ? std::atoi(text) : otherwise;
}

FILE *launches() {
    static FILE *file = std::getenv("LC_LAUNCHES") ? std::fopen(std::getenv("LC_LAUNCHES"), "a") : nullptr;
    return file;
}

int allocate(void **pointer, size_t bytes) {
    // A card refuses, which only the thread that asked would tell.
    if (!bytes) {
        std::fprintf(stderr, "memory of no bytes was asked for\n");
        std::abort();
    }
    if (FILE *file = launches()) std::fprintf(file, "memory +%zu\n", bytes);
    // As a card aligns memory.
    *pointer = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
    return *pointer ? SUCCESS : OUT_OF_MEMORY;
}
} // namespace

extern "C" {
int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return *version = 12090, SUCCESS; }
int cuDeviceGet(int *device, int) { return *device = 0, SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
int cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = size_t(140) << 30, SUCCESS; }

int cuDeviceGetAttribute(int *value, int attribute, int) {
    // Of an H200, but for the architecture: by default one whose kernels compiler.cpp knows.
    const int architecture = number("LC_CUDA_ARCHITECTURE", 80);
    switch (attribute) {
    case 1: return *value = 1024, SUCCESS;              // threads of a block
    case 2: case 3: return *value = 1024, SUCCESS;      // block, x and y
    case 4: return *value = 64, SUCCESS;                // block, z
    case 5: return *value = 2147483647, SUCCESS;        // grid, x
    case 6: case 7: return *value = 65535, SUCCESS;     // grid, y and z
    case 10: return *value = 32, SUCCESS;               // threads of a warp
    case 16: return *value = 132, SUCCESS;              // multiprocessors
    case 75: return *value = architecture / 10, SUCCESS;
    case 76: return *value = architecture % 10, SUCCESS;
    case 97: return *value = 227 * 1024, SUCCESS;       // shared memory of a block
    default: return *value = 0, SUCCESS;
    }
}

int cuDevicePrimaryCtxRetain(void **context, int) { return *context = &context_token, SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxSetCurrent(void *) { return SUCCESS; }
int cuCtxGetCurrent(void **context) { return *context = &context_token, SUCCESS; }

// Everything is done at once: streams and events have nothing to wait for.
int cuStreamCreate(void **stream, unsigned) { return *stream = &stream_token, SUCCESS; }
int cuStreamSynchronize(void *) { return SUCCESS; }
int cuStreamWaitEvent(void *, void *, unsigned) { return SUCCESS; }
int cuCtxRecordEvent(void *, void *) { return SUCCESS; }
int cuCtxWaitEvent(void *, void *) { return SUCCESS; }
int cuEventCreate(void **event, unsigned) { return *event = &stream_token, SUCCESS; }
int cuEventRecord(void *, void *) { return SUCCESS; }
int cuEventSynchronize(void *) { return SUCCESS; }
int cuEventDestroy_v2(void *) { return SUCCESS; }

int cuMemAllocAsync(void **pointer, size_t bytes, void *) { return allocate(pointer, bytes); }
int cuMemAlloc_v2(void **pointer, size_t bytes) { return allocate(pointer, bytes); }
int cuMemAllocHost_v2(void **pointer, size_t bytes) { return *pointer = std::malloc(bytes ? bytes : 1), SUCCESS; }
int cuMemFreeHost(void *pointer) { return std::free(pointer), SUCCESS; }
int cuMemFreeAsync(void *pointer, void *) { return std::free(pointer), SUCCESS; }
int cuMemFree_v2(void *pointer) { return std::free(pointer), SUCCESS; }
int cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes, void *) { return std::memcpy(to, from, bytes), SUCCESS; }
int cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes, void *) { return std::memcpy(to, from, bytes), SUCCESS; }

// CUDA_MEMCPY2D.
struct Side {
    size_t x, y;
    int kind; // 1: the host's memory
    void *host, *device, *array;
    size_t pitch;

    char *start() const { return static_cast<char *>(kind == 1 ? host : device) + y * pitch + x; }
};
struct Rows {
    Side from, to;
    size_t bytes, count;
};

int cuMemcpy2DAsync_v2(const Rows *rows, void *) {
    for (size_t row = 0; row < rows->count; row++) {
        std::memcpy(rows->to.start() + row * rows->to.pitch, rows->from.start() + row * rows->from.pitch, rows->bytes);
    }
    return SUCCESS;
}

int cuModuleLoadData(void **module, const void *image) {
    const char *text = static_cast<const char *>(image), *mark = "compiled for the processor: ";
    auto *made = new Module;
    if (std::strncmp(text, mark, std::strlen(mark)) == 0) {
        made->library = dlopen(text + std::strlen(mark), RTLD_NOW | RTLD_LOCAL);
        if (!made->library) return std::fprintf(stderr, "%s\n", dlerror()), INVALID_IMAGE;
    }
    return *module = made, SUCCESS;
}

int cuModuleGetFunction(void **function, void *module, const char *name) {
    auto *made = new Function{name};
    if (void *library = static_cast<Module *>(module)->library) {
        made->run = reinterpret_cast<decltype(made->run)>(dlsym(library, "run_on_processor"));
        if (!made->run) return NOT_FOUND;
    }
    return *function = made, SUCCESS;
}

int cuTensorMapEncodeTiled() { return SUCCESS; }
int cuFuncSetAttribute(void *, int, int) { return SUCCESS; }

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *, void **parameters, void **) {
    auto *made = static_cast<Function *>(function);
    if (FILE *file = launches()) std::fprintf(file, "launch %s %u %u %u x %u %u %u, %u\n", made->name.c_str(), gx, gy, gz, bx, by, bz, shared);
    if (!gx || !gy || !gz || bx * by * bz > 1024) return INVALID_VALUE;
    const unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
    if (made->run) made->run(parameters, grid, block, shared);
    return SUCCESS;
}

int cuGetErrorName(int, const char **text) { return *text = "error", SUCCESS; }
int cuGetErrorString(int, const char **text) { return *text = "error of the driver on the processor", SUCCESS; }
}
