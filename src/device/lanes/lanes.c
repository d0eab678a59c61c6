/* SPDX-License-Identifier: Apache-2.0 */
/* The rows: which ops go together, from how many on that gains, and what becomes of the others. */
#include "device/lanes/lanes.h"

#include <stdio.h>

#include "device/lanes/kinds.h"
#include "op/material.h"

#define X25519_LEN 32u

static const struct milgi__lanes_kind *const kinds[] = {
#include "lanes_kinds.inc"
    &milgi__lanes_libcrypto,
};

const struct milgi__lanes_kind *milgi__lanes_kind(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(kinds); i++) {
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    }
    return NULL;
}

#define NEVER (MILGI__LANES + 1)

/*
 * |from|: so many ops take longer alone, with AWS-LC, than a call of crypto_mb for them, as `bench lanes` has measured
 * on a Zen 4 core; a call takes about as long for one op as for eight. NEVER: not even eight gain what is
 * worth it (docs/devices.md has the figures).
 */
static const struct {
    const char *name;
    uint8_t type; /* enum milgi_op_type */
    uint16_t alg; /* of RSA: one that stands for all of rsa_pss */
    uint16_t bits;
    uint8_t from;
} table[MILGI__ROWS] = {
    [MILGI__ROW_X25519_KEYGEN] = { "X25519 keys", MILGI_OP_KEYGEN, MILGI_GROUP_X25519, 0, 5 },
    [MILGI__ROW_X25519_DERIVE] = { "X25519 secrets", MILGI_OP_DERIVE, MILGI_GROUP_X25519, 0, 3 },
    [MILGI__ROW_P256_SIGN] = { "P-256 signatures", MILGI_OP_SIGN, MILGI_SIG_ECDSA_SECP256R1_SHA256, 0, 4 },
    [MILGI__ROW_P256_VERIFY] = { "P-256 verifications", MILGI_OP_VERIFY, MILGI_SIG_ECDSA_SECP256R1_SHA256, 0, 4 },
    [MILGI__ROW_P384_SIGN] = { "P-384 signatures", MILGI_OP_SIGN, MILGI_SIG_ECDSA_SECP384R1_SHA384, 0, 2 },
    [MILGI__ROW_ED25519_SIGN] = { "Ed25519 signatures", MILGI_OP_SIGN, MILGI_SIG_ED25519, 0, 4 },
    [MILGI__ROW_RSA2048_SIGN] = { "RSA-2048 signatures", MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256, 2048, 5 },
    [MILGI__ROW_RSA3072_SIGN] = { "RSA-3072 signatures", MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256, 3072, NEVER },
    [MILGI__ROW_RSA4096_SIGN] = { "RSA-4096 signatures", MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256, 4096, NEVER },
};

const char *milgi__row_name(enum milgi__row row)
{
    return table[row].name;
}

unsigned milgi__row_from(enum milgi__row row)
{
    return table[row].from;
}

/* All of rsa_pss are one: they differ in their hash alone, which is made before. */
static uint16_t as_in_table(int type, uint16_t alg)
{
    const struct milgi__scheme *scheme = type == MILGI_OP_SIGN ? milgi__scheme(alg) : NULL;
    bool rsa = scheme && scheme->tls13 && (scheme->key == MILGI__KEY_RSA || scheme->key == MILGI__KEY_RSA_PSS);

    return rsa ? MILGI_SIG_RSA_PSS_RSAE_SHA256 : alg;
}

static bool is_row(unsigned row, int type, uint16_t alg)
{
    return table[row].type == type && table[row].alg == alg;
}

int milgi__rows_have(uint32_t rows, int type, uint16_t alg)
{
    uint16_t in_table = as_in_table(type, alg);

    for (; rows; rows &= rows - 1) {
        if (is_row((unsigned)__builtin_ctz(rows), type, in_table))
            return 1;
    }
    return 0;
}

uint32_t milgi__rows_ops(uint32_t rows)
{
    uint32_t ops = 0;

    for (; rows; rows &= rows - 1)
        ops |= MILGI_OP_BIT(table[__builtin_ctz(rows)].type);
    return ops;
}

/* --- which row -------------------------------------------------------------------------------------------------- */

/* Only what can be done goes into lanes; what is wrong with the others milgi__op_perform() says. */
static bool is_whole(const struct milgi_op *op, const struct milgi__lanes_key *key)
{
    const struct milgi_op_kex *kex = &op->u.kex;
    const struct milgi_op_sign *sign = &op->u.sign;

    switch (op->type) {
    case MILGI_OP_KEYGEN: return kex->seed_len == X25519_LEN && kex->share.data && kex->share.len >= X25519_LEN;
    case MILGI_OP_DERIVE: return kex->secret_len == X25519_LEN && kex->share.data && kex->share.len == X25519_LEN;
    case MILGI_OP_SIGN:
        return key && !sign->hashed && op->key->loaded.credential && sign->input_len <= sizeof sign->input;
    case MILGI_OP_VERIFY:
        return !sign->any_curve && sign->input_len <= sizeof sign->input && sign->blob.data &&
            sign->spki_len <= sign->blob.len && sign->sig_len <= sign->blob.len - sign->spki_len;
    default: return false;
    }
}

/* The key is of the row's type and size, and its numbers are there if they are wanted. */
static bool key_fits(const struct milgi__lanes *lanes, unsigned row, const struct milgi_op *op,
    const struct milgi__lanes_key *key)
{
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);

    if (op->type != MILGI_OP_SIGN)
        return true;
    if (!scheme || op->key->loaded.credential->type != scheme->key)
        return false;
    if (table[row].bits && op->key->loaded.credential->bits != table[row].bits)
        return false;
    return !lanes->kind->raw || (key->raw && (!table[row].bits || key->raw->bits == table[row].bits));
}

enum milgi__row milgi__lanes_row(const struct milgi__lanes *lanes, const struct milgi_op *op,
    const struct milgi__lanes_key *key)
{
    uint16_t alg = as_in_table(op->type, op->alg);

    for (uint32_t rows = lanes->rows; rows; rows &= rows - 1) {
        unsigned row = (unsigned)__builtin_ctz(rows);
        if (is_row(row, op->type, alg) && is_whole(op, key) && key_fits(lanes, row, op, key))
            return (enum milgi__row)row;
    }
    return MILGI__ROWS;
}

/* --- done ------------------------------------------------------------------------------------------------------- */

void milgi__lanes_alone(struct milgi__lanes *lanes, const struct milgi__lane *lane)
{
    uint64_t begin_ns = lanes->now_ns(lanes->now_ctx);

    milgi__op_perform(lanes->cx, lane->op, !lane->key ? NULL : lane->key->loaded);
    lane->op->service_ns = (uint32_t)MILGI__MIN(lanes->now_ns(lanes->now_ctx) - begin_ns, UINT32_MAX);
}

void milgi__lanes_run(struct milgi__lanes *lanes, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    unsigned from = lanes->from ? lanes->from : table[row].from;

    uint64_t begin_ns = lanes->now_ns(lanes->now_ctx);
    for (unsigned i = 0; i < n; i++)
        lane[i].op->device_code = 0;
    if (n < from || !lanes->kind->run(lanes->cx, row, lane, n)) {
        for (unsigned i = 0; i < n; i++)
            milgi__lanes_alone(lanes, &lane[i]);
        lanes->alone[row] += n;
        return;
    }
    uint64_t took_ns = lanes->now_ns(lanes->now_ctx) - begin_ns;
    for (unsigned i = 0; i < n; i++)
        lane[i].op->service_ns = (uint32_t)MILGI__MIN(took_ns / n, UINT32_MAX);
    lanes->in_lanes[row] += n;
}

void milgi__lanes_sort(struct milgi__lanes *lanes, const struct milgi__lane *lane, unsigned n)
{
    struct milgi__lane bin[MILGI__ROWS][MILGI__LANES];
    unsigned some[MILGI__ROWS] = { 0 };

    for (unsigned i = 0; i < n; i++) {
        enum milgi__row row = milgi__lanes_row(lanes, lane[i].op, lane[i].key);
        if (row == MILGI__ROWS) {
            milgi__lanes_alone(lanes, &lane[i]);
            continue;
        }
        bin[row][some[row]++] = lane[i];
        if (some[row] == MILGI__LANES) {
            milgi__lanes_run(lanes, row, bin[row], MILGI__LANES);
            some[row] = 0;
        }
    }
    for (unsigned row = 0; row < MILGI__ROWS; row++) {
        if (some[row] > 0)
            milgi__lanes_run(lanes, (enum milgi__row)row, bin[row], some[row]);
    }
}

/* --- proof ------------------------------------------------------------------------------------------------------ */

/* Those of |rows| in which lanes gain something. */
static uint32_t gaining(uint32_t rows)
{
    for (unsigned row = 0; row < MILGI__ROWS; row++) {
        if (table[row].from > MILGI__LANES)
            rows &= ~(1u << row);
    }
    return rows;
}

int milgi__lanes_prove(
    const struct milgi__lanes_kind *kind, unsigned from, uint32_t *rows, char note[MILGI__LANES_NOTE])
{
    uint32_t all = from ? kind->rows() : gaining(kind->rows());

    note[0] = '\0';
    *rows = all;
    if (kind->caps & MILGI_CAP_LIBCRYPTO)
        return 0;
    int rv = milgi__lanes_try(kind, all, rows);
    uint32_t wrong = all & ~*rows;
    if (rv != 0 || !wrong)
        return rv;
    int at = snprintf(note, MILGI__LANES_NOTE, "known answers came out wrong, so they are not done in lanes:");
    for (; wrong && at > 0 && at < MILGI__LANES_NOTE; wrong &= wrong - 1)
        at += snprintf(note + at, (size_t)(MILGI__LANES_NOTE - at), " %s%s",
            milgi__row_name((enum milgi__row)__builtin_ctz(wrong)), wrong & (wrong - 1) ? "," : "");
    return 0;
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

struct milgi__lanes_key *milgi__lanes_key_new(
    const struct milgi__lanes_kind *kind, struct milgi__crypto *cx, const struct milgi_key *key)
{
    struct milgi__lanes_key *mine = milgi__alloc(sizeof *mine);

    if (!mine)
        return NULL;
    mine->loaded = milgi__loaded_new(cx, key);
    if (!mine->loaded) {
        milgi__free(mine);
        return NULL;
    }
    if (!kind->raw || key->kind != MILGI_KEY_PRIVATE)
        return mine;
    /* Without its numbers it is used with libcrypto. */
    mine->raw = milgi__alloc(sizeof *mine->raw);
    if (mine->raw && milgi__raw_private(mine->loaded, mine->raw) != 0) {
        milgi__free_wiped(mine->raw, sizeof *mine->raw);
        mine->raw = NULL;
    }
    return mine;
}

void milgi__lanes_key_free(const struct milgi_key *key, struct milgi__lanes_key *loaded)
{
    if (!loaded)
        return;
    milgi__loaded_free(key, loaded->loaded);
    if (loaded->raw)
        milgi__free_wiped(loaded->raw, sizeof *loaded->raw);
    milgi__free(loaded);
}
