/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an op costs in lanes by how many there are, beside the same op alone with the libcrypto of this build. From how
 * many on the lanes gain is what the table of rows (src/device/lanes/lanes.c) ought to say.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "device/lanes/kinds.h"
#include "op/material.h"

#include "device/lanes/answers.inc"

static const char usage[] =
    "bench_lanes [--quick] [--json FILE] [--rounds N] [--cpu N]\n"
    "  --quick      a few rounds: some seconds\n"
    "  --json FILE  everything that was measured, with what is to be known about the machine\n"
    "  --rounds N   of all rows in turn; 40\n"
    "  --cpu N      the CPU to stay on; the last\n"
    "Exit status: 0 if the table of rows says for each row from how many ops on lanes gain, 1 if not, 2 if something\n"
    "went wrong, 77 where there are no vector lanes.\n";

#define SAMPLE_NS 2000000.0 /* about how long a sample takes */
#define UNDECIDED 1.05      /* what is no dearer than that may be chosen as well */
#define WORTH 1.2           /* times faster: with less than that nobody need wait for eight long ones */
#define ALONE 0u            /* index of what is not done in lanes */

/* One row: the ops of all lanes, and what they took, by how many. */
struct row {
    enum milgi__row row;
    struct milgi_credential credential;
    struct milgi_key key;
    struct milgi__lanes_key *loaded;
    struct milgi_op op[MILGI__LANES];
    uint8_t memory[MILGI__LANES][256];
    double first_ns[MILGI__LANES + 1];
    struct bench_samples call_ns[MILGI__LANES + 1];
};

static struct milgi__crypto *cx;
static const struct milgi__lanes_kind *kind;

/* --- ops ---------------------------------------------------------------------------------------------------------- */

static const struct signer {
    uint16_t alg, bits;
    enum milgi__key_type type;
    const uint8_t *pkcs8;
    size_t pkcs8_len;
} signers[MILGI__ROWS] = {
    [MILGI__ROW_P256_SIGN] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, 256, MILGI__KEY_P256, p256_pkcs8, sizeof p256_pkcs8 },
    [MILGI__ROW_P384_SIGN] = { MILGI_SIG_ECDSA_SECP384R1_SHA384, 384, MILGI__KEY_P384, p384_pkcs8, sizeof p384_pkcs8 },
    [MILGI__ROW_ED25519_SIGN] = { MILGI_SIG_ED25519, 256, MILGI__KEY_ED25519, ed25519_pkcs8, sizeof ed25519_pkcs8 },
    [MILGI__ROW_RSA2048_SIGN] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, 2048, MILGI__KEY_RSA, rsa2048_pkcs8,
        sizeof rsa2048_pkcs8 },
    [MILGI__ROW_RSA3072_SIGN] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, 3072, MILGI__KEY_RSA, rsa3072_pkcs8,
        sizeof rsa3072_pkcs8 },
    [MILGI__ROW_RSA4096_SIGN] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, 4096, MILGI__KEY_RSA, rsa4096_pkcs8,
        sizeof rsa4096_pkcs8 },
};

static void load_key(struct row *row)
{
    const struct signer *s = &signers[row->row];

    if (!s->pkcs8)
        return;
    row->credential.type = s->type;
    row->credential.bits = s->bits;
    row->credential.pkcs8 = (uint8_t *)(uintptr_t)s->pkcs8; /* read only */
    row->credential.pkcs8_len = s->pkcs8_len;
    row->key.kind = MILGI_KEY_PRIVATE;
    row->key.loaded.credential = &row->credential;
    row->loaded = milgi__lanes_key_new(kind, cx, &row->key);
    if (!row->loaded || !row->loaded->raw)
        bench_die("%s: the key cannot be had", milgi__row_name(row->row));
}

static void ask_kex(struct row *row, unsigned i)
{
    struct milgi_op_kex *kex = &row->op[i].u.kex;
    bool derive = row->row == MILGI__ROW_X25519_DERIVE;

    row->op[i].type = derive ? MILGI_OP_DERIVE : MILGI_OP_KEYGEN;
    row->op[i].alg = MILGI_GROUP_X25519;
    kex->seed_len = kex->secret_len = 32;
    memset(kex->seed, (int)(0x11 * (i + 1)), 32);
    memset(kex->secret, (int)(0x11 * (i + 1)), 32);
    memset(row->memory[i], 0, 32);
    row->memory[i][0] = 9;
    kex->share = (struct milgi_slice){ .data = row->memory[i], .len = 32 };
}

static void ask_signature(struct row *row, unsigned i)
{
    struct milgi_op_sign *sign = &row->op[i].u.sign;

    sign->input_len = 130; /* as of a CertificateVerify */
    memset(sign->input, ' ', sign->input_len);
    if (row->row != MILGI__ROW_P256_VERIFY) {
        row->op[i].type = MILGI_OP_SIGN;
        row->op[i].alg = signers[row->row].alg;
        row->op[i].key = &row->key;
        return;
    }
    row->op[i].type = MILGI_OP_VERIFY;
    row->op[i].alg = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    memcpy(sign->input, "sample", 6);
    sign->input_len = 6;
    memcpy(row->memory[i], p256_spki, sizeof p256_spki);
    memcpy(row->memory[i] + sizeof p256_spki, p256_sample, sizeof p256_sample);
    sign->spki_len = sizeof p256_spki;
    sign->sig_len = sizeof p256_sample;
    sign->blob = (struct milgi_slice){ .data = row->memory[i], .len = sizeof p256_spki + sizeof p256_sample };
}

static void make(struct row *row, enum milgi__row which)
{
    row->row = which;
    load_key(row);
    for (unsigned i = 0; i < MILGI__LANES; i++) {
        row->op[i].cls = MILGI_OP_CLASS_HANDSHAKE;
        if (which == MILGI__ROW_X25519_KEYGEN || which == MILGI__ROW_X25519_DERIVE)
            ask_kex(row, i);
        else
            ask_signature(row, i);
    }
}

/* --- what they take ----------------------------------------------------------------------------------------------- */

/* One call for |n| ops in lanes, or one op alone. */
static void perform(struct row *row, unsigned n)
{
    struct milgi__lane lane[MILGI__LANES];

    if (n == ALONE) {
        milgi__op_perform(cx, &row->op[0], !row->loaded ? NULL : row->loaded->loaded);
    } else {
        for (unsigned i = 0; i < n; i++)
            lane[i] = (struct milgi__lane){ &row->op[i], row->loaded };
        if (!kind->run(cx, row->row, lane, n))
            bench_die("%s: lanes cannot", milgi__row_name(row->row));
    }
    for (unsigned i = 0; i < n || i == 0; i++) {
        if (row->op[i].status != MILGI_OP_OK)
            bench_die("%s: %u do not succeed", milgi__row_name(row->row), n);
    }
}

static void sample(struct row *row, unsigned n)
{
    uint64_t begin_ns = bench_cpu_ns();

    if (row->first_ns[n] <= 0) {
        perform(row, n); /* warm */
        begin_ns = bench_cpu_ns();
        perform(row, n);
        row->first_ns[n] = (double)(bench_cpu_ns() - begin_ns);
        return;
    }
    unsigned times = (unsigned)(SAMPLE_NS / row->first_ns[n]) + 1;
    for (unsigned i = 0; i < times; i++)
        perform(row, n);
    bench_samples_add(&row->call_ns[n], (double)(bench_cpu_ns() - begin_ns) / times);
}

static double call_us(const struct row *row, unsigned n)
{
    return bench_samples_percentile(&row->call_ns[n], 25) / 1000;
}

/* From how many ops on a call is cheaper than as many alone; MILGI__LANES + 1: never. */
static unsigned pays_from(const struct row *row)
{
    unsigned n = MILGI__LANES + 1;

    while (n > 2 && call_us(row, n - 1) < (n - 1) * call_us(row, ALONE))
        n--;
    return n;
}

/* The table's number is the one that was measured, or as good. */
static bool is_right(const struct row *row)
{
    unsigned from = milgi__row_from(row->row), pays = pays_from(row);
    double alone = call_us(row, ALONE);

    if (from == pays)
        return true;
    if (from < pays)
        return from <= MILGI__LANES && call_us(row, from) <= UNDECIDED * from * alone;
    return (from - 1) * alone <= (from > MILGI__LANES ? WORTH : UNDECIDED) * call_us(row, from - 1);
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static bool show(const struct row *rows, struct bench_json *json)
{
    bool right = true;

    printf("%-20s %8s   us of a call, by how many\n%-20s %8s", "", "alone, us", "", "");
    for (unsigned n = 1; n <= MILGI__LANES; n++)
        printf(" %7u", n);
    printf("  8: us an op, x alone   pays from, table\n");
    for (const struct row *row = rows; row < rows + MILGI__ROWS; row++) {
        double alone = call_us(row, ALONE), each = call_us(row, MILGI__LANES) / MILGI__LANES;
        printf("%-20s %8.1f", milgi__row_name(row->row), alone);
        for (unsigned n = 1; n <= MILGI__LANES; n++)
            printf(" %7.1f", call_us(row, n));
        printf("  %8.1f %5.2f %12u %5u%s\n", each, each / alone, pays_from(row), milgi__row_from(row->row),
            is_right(row) ? "" : "  WRONG");
        right = is_right(row) && right;
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "row", milgi__row_name(row->row));
        bench_json_number(json, "alone_us", alone);
        bench_json_open(json, "call_us", '[');
        for (unsigned n = 1; n <= MILGI__LANES; n++)
            bench_json_number(json, NULL, call_us(row, n));
        bench_json_close(json, ']');
        bench_json_number(json, "pays_from", pays_from(row));
        bench_json_number(json, "table_from", milgi__row_from(row->row));
        bench_json_close(json, '}');
    }
    return right;
}

static bool bench(int cpu, unsigned rounds, const char *json_name)
{
    static struct row rows[MILGI__ROWS];
    struct bench_json json = { .file = json_name ? fopen(json_name, "w") : NULL };

    if (json_name && !json.file)
        bench_die("cannot write '%s'", json_name);
    for (unsigned i = 0; i < MILGI__ROWS; i++)
        make(&rows[i], (enum milgi__row)i);
    for (unsigned round = 0; round <= rounds; round++) {
        for (unsigned i = 0; i < MILGI__ROWS; i++) {
            for (unsigned n = 0; n <= MILGI__LANES; n++)
                sample(&rows[i], n);
        }
    }
    bench_machine_print(stdout, cpu);
    bench_json_open(&json, NULL, '{');
    bench_machine_json(&json, cpu);
    bench_json_open(&json, "rows", '[');
    bool right = show(rows, &json);
    bench_json_close(&json, ']');
    bench_json_close(&json, '}');
    if (json.file)
        fclose(json.file);
    for (unsigned i = 0; i < MILGI__ROWS; i++) {
        milgi__lanes_key_free(&rows[i].key, rows[i].loaded);
        for (unsigned n = 0; n <= MILGI__LANES; n++)
            bench_samples_free(&rows[i].call_ns[n]);
    }
    return right;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "quick", no_argument, NULL, 'q' },
        { "json", required_argument, NULL, 'j' },
        { "rounds", required_argument, NULL, 'r' },
        { "cpu", required_argument, NULL, 'c' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };
    const char *json = NULL;
    unsigned rounds = 40;
    int cpu = -1;

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'q': rounds = 5; break;
        case 'j': json = optarg; break;
        case 'r': rounds = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'c': cpu = (int)strtol(optarg, NULL, 10); break;
        default: fputs(usage, option == 'h' ? stdout : stderr); return option == 'h' ? 0 : 2;
        }
    }
    kind = milgi__lanes_kind("mb");
    if (!kind || kind->unusable()) {
        printf("there are no vector lanes here: %s\n", !kind ? "built without crypto_mb" : kind->unusable());
        return 77;
    }
    cpu = bench_pin(cpu);
    cx = milgi__crypto_new();
    if (!cx || rounds == 0)
        bench_die(!cx ? "out of memory" : "no rounds");
    bool right = bench(cpu, rounds, json);
    milgi__crypto_free(cx);
    return right ? 0 : 1;
}
