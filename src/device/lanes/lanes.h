/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Like public-key ops of several connections done together, each in a lane of its own, in hardly more time than one of
 * them takes alone. docs/internals/batch.md is the explanation.
 *
 * A ROW is what fits together: an op type with an algorithm and, of RSA, a size. A KIND of lanes is whoever does it:
 * `mb`, the vector registers of the processor with Intel's crypto_mb, and `libcrypto`, one op behind the other, which
 * gains nothing and is there so that all that is around lanes can be tried on any processor.
 */
#pragma once

#include <milgi/op.h>

#include "base/base.h"
#include "crypto/raw.h"
#include "op/op.h"

#define MILGI__LANES 8u /* side by side */

enum milgi__row {
    MILGI__ROW_X25519_KEYGEN,
    MILGI__ROW_X25519_DERIVE,
    MILGI__ROW_P256_SIGN,
    MILGI__ROW_P256_VERIFY,
    MILGI__ROW_P384_SIGN,
    MILGI__ROW_ED25519_SIGN,
    MILGI__ROW_RSA2048_SIGN,
    MILGI__ROW_RSA3072_SIGN,
    MILGI__ROW_RSA4096_SIGN,
    MILGI__ROWS
};
#define MILGI__ROWS_ALL ((1u << MILGI__ROWS) - 1)

/* A private key as lanes want it, of one thread. */
struct milgi__lanes_key {
    void *loaded;               /* for libcrypto */
    struct milgi__raw_key *raw; /* for vectors; NULL: it has no row */
};

/* One op that is to be done, with its private key if it signs. */
struct milgi__lane {
    struct milgi_op *op;
    const struct milgi__lanes_key *key;
};

struct milgi__lanes_kind {
    const char *name;
    uint32_t caps; /* what a device that works with it says of its signatures */
    bool raw;      /* it wants the numbers of keys */
    /* NULL, or a static text: why it does not run here. */
    const char *(*unusable)(void);
    /* The rows that it has, as bits. */
    uint32_t (*rows)(void);
    /*
     * Does 1 to 8 ops of a row, all of them well formed, and sets the status of each: a lane that fails says nothing of
     * the others. False: it cannot just now, and has touched nothing.
     */
    bool (*run)(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n);
};
/* NULL: this build has none of that name. */
const struct milgi__lanes_kind *milgi__lanes_kind(const char *name);

/* Those of one thread. */
struct milgi__lanes {
    const struct milgi__lanes_kind *kind;
    struct milgi__crypto *cx;
    uint32_t rows; /* those whose known answers came out right, as bits */
    unsigned from; /* lanes from so many ops on; 0: as the table of rows says */
    uint64_t (*now_ns)(void *ctx);
    void *now_ctx;
    uint64_t in_lanes[MILGI__ROWS], alone[MILGI__ROWS]; /* ops that were done so */
};

/*
 * The row of an op that is well formed and that |lanes| may do, MILGI__ROWS for all others; |key| is its private key or
 * NULL. Whatever has no row is for milgi__lanes_alone().
 */
enum milgi__row milgi__lanes_row(const struct milgi__lanes *lanes, const struct milgi_op *op,
    const struct milgi__lanes_key *key);
/* Does 1 to 8 ops of one row: together if they are enough for that, else one by one. */
void milgi__lanes_run(
    struct milgi__lanes *lanes, enum milgi__row row, const struct milgi__lane *lane, unsigned n);
void milgi__lanes_alone(struct milgi__lanes *lanes, const struct milgi__lane *lane);

const char *milgi__row_name(enum milgi__row row);
/* From how many ops on lanes are worth it; more than MILGI__LANES: never. */
unsigned milgi__row_from(enum milgi__row row);
/* 1 if ops of this type with this algorithm have a row of |rows|. */
int milgi__rows_have(uint32_t rows, int type, uint16_t alg);
/* The op types of |rows|, as MILGI_OP_BIT()s. */
uint32_t milgi__rows_ops(uint32_t rows);

/* NULL: no memory, or the key's bytes are not here. */
struct milgi__lanes_key *milgi__lanes_key_new(
    const struct milgi__lanes_kind *kind, struct milgi__crypto *cx, const struct milgi_key *key);
void milgi__lanes_key_free(const struct milgi_key *key, struct milgi__lanes_key *loaded);

/*
 * Does any number of ops that may be of different rows: those of one together, all others alone. Their order does not
 * matter.
 */
void milgi__lanes_sort(struct milgi__lanes *lanes, const struct milgi__lane *lane, unsigned n);

/*
 * The rows of |kind| that can be relied on: of libcrypto itself all, else those that give the known answers. Of the
 * others |note| says so; it is empty when there are none. Rows in which lanes gain nothing are left out, unless |from|
 * says, as milgi__lanes.from, that they do. 0 or MILGI_ENOMEM.
 */
#define MILGI__LANES_NOTE 256
int milgi__lanes_prove(
    const struct milgi__lanes_kind *kind, unsigned from, uint32_t *rows, char note[MILGI__LANES_NOTE]);
/* Which of |rows| give the known answers here, in every lane, and refuse what is wrong. 0 or MILGI_ENOMEM. */
int milgi__lanes_try(const struct milgi__lanes_kind *kind, uint32_t rows, uint32_t *right);
