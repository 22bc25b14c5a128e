// NVIDIA's compiler at run time (libnvrtc.so) for machines without a card: the C++ of a kernel is compiled for the
// processor, with device.h in place of CUDA's headers. LC_CUDA_ON_CPU names the folder with device.h, where what was compiled
// is kept, by content; LC_CUDA_ON_CPU_FLAGS are g++'s.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>
#include <string>
#include <unistd.h>

namespace {
enum { SUCCESS = 0, COMPILATION = 6 };

struct Program {
    std::string source, log, made;
};

std::string variable(const char *name) {
    const char *text = std::getenv(name);
    return text ? text : "";
}

std::string read(const std::string &path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}
// Puts `instead` where an instruction is written out in PTX, from `first` on.
void replace(std::string &source, const std::string &first, const std::string &instead) {
    for (size_t at; (at = source.find(first)) != std::string::npos;) {
        const size_t end = source.find(");\n", at + first.size());
        if (end == std::string::npos) return;
        source.replace(at, end + 2 - at, instead);
    }
}
} // namespace

extern "C" {
int nvrtcVersion(int *major, int *minor) { return *major = 12, *minor = 9, SUCCESS; }

int nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
    return *program = new Program{source, {}, {}}, SUCCESS;
}

int nvrtcDestroyProgram(void **program) { return delete static_cast<Program *>(*program), *program = nullptr, SUCCESS; }

int nvrtcCompileProgram(void *handle, int, const char *const *) {
    auto &program = *static_cast<Program *>(handle);
    const std::string folder = variable("LC_CUDA_ON_CPU");
    std::smatch found;
    if (!std::regex_search(program.source, found, std::regex(R"(__launch_bounds__\(\d+\)\s*(\w+)\s*\()"))) {
        return program.log = "no kernel was found, or one for clusters of blocks", COMPILATION;
    }
    std::string source = std::regex_replace(program.source, std::regex("#include <[^>]*>"), "");
    replace(source, "asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32\"",
            "mma_m16n8k16(reg_a_0, reg_a_1, reg_a_2, reg_a_3, reg_b_0, reg_b_1, reg_c_0, reg_c_1, reg_c_2, reg_c_3, reg_d_0, reg_d_1, "
            "reg_d_2, reg_d_3);");
    source = std::regex_replace(source, std::regex("uint32 addr = static_cast<uint32>\\(__cvta_generic_to_shared\\(row_addr\\)\\);"), "");
    for (const std::string transposed : {"", ".trans"}) {
        for (int count : {1, 2, 4}) {
            const std::string what = "matrix.sync.aligned.m8n8.x" + std::to_string(count) + transposed + ".shared::cta.b16\"";
            std::string addresses, values;
            for (int i = 0; i < count; i++) {
                const std::string name = "reg_" + std::to_string(i);
                addresses += "&" + name + ", ";
                values += name + ", ";
            }
            const std::string flag = transposed.empty() ? "false" : "true";
            replace(source, "asm volatile(\"ld" + what, "load_matrices(" + flag + ", row_addr, {" + addresses + "});");
            replace(source, "asm volatile(\"st" + what, "store_matrices(" + flag + ", row_addr, {" + values + "});");
        }
    }
    // Where the library writes a product, it takes it that the threads of a warp have all written before any of them reads.
    source = std::regex_replace(source, std::regex("\n( [a-z0-9_]+ \\*_tmp_|const uint32 l_[0-9]+ = threadIdx.x \\*)"), "\n__syncwarp();\n$1");
    source = "#include \"device.h\"\n" + source + "\nRUN_ON_PROCESSOR(" + found[1].str() + ")\n";
    const auto content = std::hash<std::string>()(source);
    const std::string base = folder + "/" + std::to_string(content), own = base + "-" + std::to_string(getpid());
    program.made = "compiled for the processor: " + base + ".so";
    if (access((base + ".so").c_str(), R_OK) == 0) return SUCCESS;
    std::ofstream(own + ".cpp") << source;
    const std::string command = "g++ " + variable("LC_CUDA_ON_CPU_FLAGS") + " -shared -I'" + folder + "' -o '" + own + ".so' '" + own +
                                ".cpp' 2>'" + own + ".log'";
    const int code = std::system(command.c_str());
    program.log = read(own + ".log");
    for (const char *rest : {".log", ".cpp"}) std::remove((own + rest).c_str());
    if (code == 0) std::rename((own + ".so").c_str(), (base + ".so").c_str());
    return code == 0 ? SUCCESS : COMPILATION;
}

int nvrtcGetPTXSize(void *program, size_t *bytes) { return *bytes = static_cast<Program *>(program)->made.size() + 1, SUCCESS; }
int nvrtcGetPTX(void *program, char *to) { return std::strcpy(to, static_cast<Program *>(program)->made.c_str()), SUCCESS; }
int nvrtcGetProgramLogSize(void *program, size_t *bytes) { return *bytes = static_cast<Program *>(program)->log.size() + 1, SUCCESS; }
int nvrtcGetProgramLog(void *program, char *to) { return std::strcpy(to, static_cast<Program *>(program)->log.c_str()), SUCCESS; }
const char *nvrtcGetErrorString(int) { return "error of the compiler for the processor"; }
}
