// A cuBLASLt (libcublasLt.so) for machines without a card: what lc-worker asks of it, computed entry by entry on the
// processor. Factors of which ten bits may be read are read whole.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {
enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { F32 = 0, BF16 = 14 };

// Matrices by columns.
struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t step, apart = 0;
    int count = 1;

    uint64_t at(int matrix, uint64_t row, uint64_t column) const { return matrix * apart + column * step + row; }
};

struct Product {
    int transposed[2] = {0, 0};
};

struct Preference {
    uint64_t workspace = 0;
};

float read(const void *from, int type, uint64_t at) {
    if (type == F32) return static_cast<const float *>(from)[at];
    const uint32_t bits = uint32_t(static_cast<const uint16_t *>(from)[at]) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

void write(void *to, int type, uint64_t at, float value) {
    if (type == F32) {
        static_cast<float *>(to)[at] = value;
        return;
    }
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    // To the nearest, to even in the middle.
    static_cast<uint16_t *>(to)[at] = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

bool fit(const Product &product, const Layout &a, const Layout &b, const Layout &d) {
    const uint64_t inner = product.transposed[0] ? a.rows : a.columns;
    return (product.transposed[0] ? a.columns : a.rows) == d.rows
        && (product.transposed[1] ? b.columns : b.rows) == inner
        && (product.transposed[1] ? b.rows : b.columns) == d.columns
        && a.count == d.count && b.count == d.count && a.type == b.type
        && a.step >= int64_t(a.rows) && b.step >= int64_t(b.rows) && d.step >= int64_t(d.rows);
}
} // namespace

extern "C" {
int cublasLtCreate(void **handle) { return *handle = new char, SUCCESS; }

int cublasLtMatrixLayoutCreate(Layout **layout, int type, uint64_t rows, uint64_t columns, int64_t step) {
    if (type != F32 && type != BF16) return NOT_SUPPORTED;
    return *layout = new Layout{type, rows, columns, step}, SUCCESS;
}

int cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, size_t size) {
    switch (attribute) {
    case 5: // matrices
        if (size != 4) return INVALID_VALUE;
        return std::memcpy(&layout->count, value, 4), SUCCESS;
    case 6: // entries from one to the next
        if (size != 8) return INVALID_VALUE;
        return std::memcpy(&layout->apart, value, 8), SUCCESS;
    default: return INVALID_VALUE;
    }
}

// Sums and factors before them are f32 (68, or 77 for ten bits of the factors; 0).
int cublasLtMatmulDescCreate(Product **product, int compute, int scale) {
    if ((compute != 68 && compute != 77) || scale != F32) return NOT_SUPPORTED;
    return *product = new Product, SUCCESS;
}

int cublasLtMatmulDescSetAttribute(Product *product, int attribute, const void *value, size_t size) {
    if ((attribute != 3 && attribute != 4) || size != 4) return INVALID_VALUE;
    return std::memcpy(&product->transposed[attribute - 3], value, 4), SUCCESS;
}

int cublasLtMatmulPreferenceCreate(Preference **preference) { return *preference = new Preference, SUCCESS; }

int cublasLtMatmulPreferenceSetAttribute(Preference *preference, int attribute, const void *value, size_t size) {
    if (attribute == 1 && size == 8) return std::memcpy(&preference->workspace, value, 8), SUCCESS;
    if (size != 4) return INVALID_VALUE;
    uint32_t wish;
    std::memcpy(&wish, value, 4);
    // How parts of sums are added up (3: none, or of bits 1, 2 and 4); alignment.
    return (attribute == 3 && wish < 8) || (attribute >= 5 && attribute <= 8) ? SUCCESS : INVALID_VALUE;
}

struct Found {
    uint64_t algorithm[8];
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

int cublasLtMatmulAlgoGetHeuristic(void *, Product *product, Layout *a, Layout *b, Layout *, Layout *d, Preference *,
                                   int wanted, Found *found, int *count) {
    if (wanted < 1 || !fit(*product, *a, *b, *d)) return INVALID_VALUE;
    *found = Found{{17}, 0, SUCCESS, 1.0f, {}};
    return *count = 1, SUCCESS;
}

int cublasLtMatmul(void *, Product *product, const float *alpha, const void *a, Layout *of_a, const void *b, Layout *of_b,
                   const float *beta, const void *c, Layout *, void *d, Layout *of_d, const uint64_t *algorithm, void *workspace,
                   size_t, void *stream) {
    if (algorithm[0] != 17 || *beta != 0 || c != d || !workspace || !stream || !fit(*product, *of_a, *of_b, *of_d)) {
        return INVALID_VALUE;
    }
    const uint64_t inner = product->transposed[0] ? of_a->rows : of_a->columns;
    for (int matrix = 0; matrix < of_d->count; matrix++) {
        for (uint64_t column = 0; column < of_d->columns; column++) {
            for (uint64_t row = 0; row < of_d->rows; row++) {
                float sum = 0;
                for (uint64_t at = 0; at < inner; at++) {
                    sum += read(a, of_a->type, product->transposed[0] ? of_a->at(matrix, at, row) : of_a->at(matrix, row, at))
                         * read(b, of_b->type, product->transposed[1] ? of_b->at(matrix, column, at) : of_b->at(matrix, at, column));
                }
                write(d, of_d->type, of_d->at(matrix, row, column), *alpha * sum);
            }
        }
    }
    return SUCCESS;
}
}
