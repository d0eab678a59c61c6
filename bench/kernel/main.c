/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of AES-GCM by the kernels of src/crypto/kernel, beside the crypto library that this build has, as Milgi calls
 * it: ns a record by size, and by how many come in a call; ops of as many keys, one by one and several at a time. Says
 * from which size on the library is the better choice.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/op.h>

#include "bench.h"
#include "crypto/kernel/gcm.h"
#include "ops.h"

static const char usage[] =
    "bench_kernel [--quick] [--json FILE] [--rounds N] [--cpu N]\n"
    "  --quick      AES-128 only, a few rounds: some seconds\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of all subjects in turn; 100\n"
    "  --cpu N      the CPU to stay on; the last\n"
    "Exit status: 0 if what does a record is always the faster one, 1 if not, 2 if something went wrong.\n";

#define RECORDS 32
#define ROOM 16640
#define SAMPLE_BYTES 40000 /* about how much a sample does */
#define SLOWER 1.05        /* what noise may make of something equally fast */

static const size_t sizes[] = { 16, 64, 256, 1024, 4096, 16384 };
static const size_t calls[] = { 1, 4, 8, 32 }; /* records in one */
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define CALLS (sizeof(calls) / sizeof(calls[0]))
#define KERNELS MILGI__GCM_KINDS

/* One size, key and direction. */
struct row {
    size_t size, key_len;
    bool open;
    struct bench_samples library, kernel[KERNELS][CALLS];
};

struct bench {
    const struct milgi__gcm_kernel *kernels[KERNELS];
    unsigned kernels_n;
    struct milgi__crypto *library;
    struct ops *ops;
    struct bench_samples key_ns;
    struct row *rows;
    size_t rows_n;
};

static uint8_t plain[RECORDS][ROOM], sealed[RECORDS][ROOM], opened[RECORDS][ROOM];
static uint8_t raw[32], aad[5] = { 23, 3, 3 }, nonce[12];

/* --- one sample -------------------------------------------------------------------------------------------------- */

static double library_ns(const struct bench *b, const struct row *row)
{
    struct milgi__aead_key key = { row->key_len, 0, (uint8_t)row->key_len, raw };
    size_t times = SAMPLE_BYTES / (row->size + 200) + 1;
    int bad = 0;

    key.suite = row->key_len == 16 ? MILGI_SUITE_AES_128_GCM_SHA256 : MILGI_SUITE_AES_256_GCM_SHA384;
    uint64_t begin = bench_now_ns();
    for (size_t i = 0; i < times; i++) {
        size_t at = i % RECORDS;
        struct milgi__piece src = { row->open ? sealed[at] : plain[at], row->size + (row->open ? 1 : 0) };
        bad |= row->open
            ? milgi__aead_open(b->library, &key, nonce, aad, sizeof aad, &src, 1, sealed[at] + src.len, opened[at])
            : milgi__aead_seal(b->library, &key, nonce, aad, sizeof aad, &src, 1, 23, 0, sealed[at]);
    }
    double ns = (double)(bench_now_ns() - begin) / (double)times;
    if (bad != 0)
        bench_die("the library does not open what was sealed");
    return ns;
}

static double kernel_ns(
    const struct milgi__gcm_kernel *kernel, const struct milgi__gcm_key *key, const struct row *row, size_t n)
{
    struct milgi__gcm_record records[RECORDS];
    struct milgi__piece src[RECORDS];
    int8_t verdicts[RECORDS];
    size_t times = SAMPLE_BYTES / n / (row->size + 200) + 1;
    size_t bad = 0;

    for (size_t i = 0; i < n; i++) {
        src[i] = (struct milgi__piece){ row->open ? sealed[i] : plain[i], row->size + (row->open ? 1 : 0) };
        records[i] = (struct milgi__gcm_record){
            .key = key, .nonce = nonce, .aad = aad, .aad_len = sizeof aad, .src = &src[i], .src_n = 1
        };
        records[i].type = 23;
        records[i].dst = row->open ? opened[i] : sealed[i];
        records[i].tag = sealed[i] + src[i].len;
    }
    uint64_t begin = bench_now_ns();
    for (size_t i = 0; i < times; i++) {
        if (row->open)
            bad += milgi__gcm_open(kernel, records, n, verdicts);
        else
            kernel->seal(records, n);
    }
    double ns = (double)(bench_now_ns() - begin) / (double)(times * n);
    if (bad != 0)
        bench_die("%s does not open what was sealed", kernel->name);
    return ns;
}

static double key_ns(const struct milgi__gcm_kernel *kernel, struct milgi__gcm_key *key)
{
    enum {
        TIMES = 100
    };
    uint64_t begin = bench_now_ns();

    for (unsigned i = 0; i < TIMES; i++)
        kernel->key_init(key, raw, 16);
    return (double)(bench_now_ns() - begin) / TIMES;
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static void bench_round(struct bench *b)
{
    _Alignas(MILGI__GCM_LINE) struct milgi__gcm_key key;

    bench_samples_add(&b->key_ns, key_ns(b->kernels[0], &key));
    for (size_t i = 0; i < b->rows_n; i++) {
        struct row *row = &b->rows[i];
        b->kernels[0]->key_init(&key, raw, row->key_len);
        if (row->open) { /* so that there are records to be opened, with these keys */
            struct row seal = *row;
            seal.open = false;
            kernel_ns(b->kernels[0], &key, &seal, RECORDS);
        }
        bench_samples_add(&row->library, library_ns(b, row));
        for (unsigned k = 0; k < b->kernels_n; k++) {
            for (size_t c = 0; c < CALLS; c++)
                bench_samples_add(&row->kernel[k][c], kernel_ns(b->kernels[k], &key, row, calls[c]));
        }
    }
    ops_round(b->ops);
}

static void set_up(struct bench *b, bool quick)
{
    for (size_t i = 0; milgi__gcm_kernels[i]; i++) {
        if (milgi__gcm_kernels[i]->usable())
            b->kernels[b->kernels_n++] = milgi__gcm_kernels[i];
    }
    if (b->kernels_n == 0)
        bench_die("no kernel of this build can be used here");
    milgi__kernel_off = true;
    b->library = milgi__crypto_new();
    milgi__kernel_off = false;
    b->ops = ops_new();
    b->rows = calloc(SIZES * 4, sizeof *b->rows);
    if (!b->library || !b->rows)
        bench_die("no memory");
    for (size_t key_len = 16; key_len <= (quick ? 16 : 32); key_len += 16) {
        for (size_t i = 0; i < SIZES * 2; i++)
            b->rows[b->rows_n++] = (struct row){ .size = sizes[i / 2], .key_len = key_len, .open = i % 2 == 1 };
    }
}

/* --- what came out ----------------------------------------------------------------------------------------------- */

static double quiet(const struct bench_samples *samples)
{
    return bench_samples_percentile(samples, 5);
}

static void print_rows(const struct bench *b)
{
    for (size_t i = 0; i < b->rows_n; i++) {
        const struct row *row = &b->rows[i];
        if (i % (SIZES * 2) == 0) {
            printf("\nAES-%zu-GCM, ns a record     library", row->key_len * 8);
            for (unsigned k = 0; k < b->kernels_n; k++) {
                printf("  %8s:", b->kernels[k]->name);
                for (size_t c = 0; c < CALLS; c++)
                    printf("  %2zu a call", calls[c]);
            }
            printf("\n");
        }
        printf("  %-4s %6zu bytes          %8.1f", row->open ? "open" : "seal", row->size, quiet(&row->library));
        for (unsigned k = 0; k < b->kernels_n; k++) {
            printf("           ");
            for (size_t c = 0; c < CALLS; c++)
                printf("  %9.1f", quiet(&row->kernel[k][c]));
        }
        printf("\n");
    }
    ops_print(b->ops);
    printf("\na new key: %.0f ns\n", quiet(&b->key_ns));
}

/* The longest record that this kernel does no slower than the library, each by itself; 0: none. */
static size_t wins_up_to(const struct bench *b, unsigned kernel)
{
    size_t up_to = 0;

    for (size_t s = 0; s < SIZES; s++) {
        for (size_t i = 0; i < b->rows_n; i++) {
            const struct row *row = &b->rows[i];
            if (row->size == sizes[s] && quiet(&row->kernel[kernel][0]) > SLOWER * quiet(&row->library))
                return up_to;
        }
        up_to = sizes[s];
    }
    return up_to;
}

/* Whether each size is done by what is faster. */
static bool judge(const struct bench *b)
{
    unsigned best = b->kernels_n - 1;
    size_t wins = wins_up_to(b, best);
    size_t chosen = milgi__kernel_up_to[b->kernels[best]->kind];
    bool ok = true;

    for (unsigned k = 0; k < b->kernels_n; k++)
        printf("%s is no slower than the library up to %zu bytes\n", b->kernels[k]->name, wins_up_to(b, k));
    for (size_t s = 0; s < SIZES; s++) {
        if (sizes[s] <= chosen && sizes[s] > wins)
            ok = false;
    }
    printf("%s: records up to %zu bytes are done by %s, the others by the library\n", ok ? "ok" : "short",
        chosen < sizes[SIZES - 1] ? chosen : sizes[SIZES - 1], b->kernels[best]->name);
    return ok;
}

static void write_json(const struct bench *b, const char *path, int cpu, bool ok)
{
    struct bench_json json = { .file = fopen(path, "w") };

    if (!json.file)
        bench_die("%s cannot be written", path);
    bench_json_open(&json, NULL, '{');
    bench_machine_json(&json, cpu);
    bench_json_bool(&json, "ok", ok);
    bench_json_number(&json, "key_ns", quiet(&b->key_ns));
    bench_json_open(&json, "rows", '[');
    for (size_t i = 0; i < b->rows_n; i++) {
        const struct row *row = &b->rows[i];
        bench_json_open(&json, NULL, '{');
        bench_json_number(&json, "key_bits", (double)row->key_len * 8);
        bench_json_text(&json, "direction", row->open ? "open" : "seal");
        bench_json_number(&json, "bytes", (double)row->size);
        bench_json_number(&json, "library_ns", quiet(&row->library));
        for (unsigned k = 0; k < b->kernels_n; k++) {
            bench_json_open(&json, b->kernels[k]->name, '[');
            for (size_t c = 0; c < CALLS; c++)
                bench_json_number(&json, NULL, quiet(&row->kernel[k][c]));
            bench_json_close(&json, ']');
        }
        bench_json_close(&json, '}');
    }
    bench_json_close(&json, ']');
    ops_json(b->ops, &json);
    bench_json_close(&json, '}');
    fclose(json.file);
}

int main(int argc, char **argv)
{
    static const struct option known[] = { { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' }, { "rounds", required_argument, NULL, 'r' },
        { "cpu", required_argument, NULL, 'c' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
    struct bench b = { .kernels_n = 0 };
    const char *json = NULL;
    long rounds = 0;
    bool quick = false;
    int cpu = -1;
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'q': quick = true; break;
        case 'j': json = optarg; break;
        case 'r': rounds = strtol(optarg, NULL, 10); break;
        case 'c': cpu = (int)strtol(optarg, NULL, 10); break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (rounds <= 0)
        rounds = quick ? 40 : 100;
    cpu = bench_pin(cpu);
    bench_machine_print(stdout, cpu);
    set_up(&b, quick);
    for (long i = 0; i < rounds; i++)
        bench_round(&b);
    print_rows(&b);
    bool ok = judge(&b);
    if (json)
        write_json(&b, json, cpu, ok);
    return ok ? 0 : 1;
}
