/* SPDX-License-Identifier: Apache-2.0 */
/* What records carry, and how their taking up and handing on may end: as far as others than the pipeline know them. */
#pragma once

#include <milgi/op.h>

#include "base/failure.h"
#include "buf/buf.h"

enum milgi__content {
    MILGI__CCS = 20,
    MILGI__ALERT = 21,
    MILGI__HANDSHAKE = 22,
    MILGI__DATA = 23
};

#define MILGI__PLAINTEXT_MAX 16384u
#define MILGI__CIPHERTEXT_MAX (MILGI__PLAINTEXT_MAX + 256u)
#define MILGI__RECORD_HEADER 5u
#define MILGI__TAG 16u
#define MILGI__PENDING_COST 96u /* of a piece that waits to be framed, besides its bytes */

enum milgi__start {
    MILGI__START_NONE,  /* nothing to start: no whole record, or (out) nothing pending */
    MILGI__START_OP,    /* *op is made: submit it, with any slot */
    MILGI__START_READY, /* the record needs no op: pop or take it */
    MILGI__START_FULL,  /* the window is full */
    MILGI__START_ROOM,  /* no op or chunk is free now: try again when there is */
    MILGI__START_FAILED /* in: *failure says why; out: nothing more can be sent */
};
struct milgi__message {
    uint8_t type; /* content type */
    bool protected;
    struct milgi_slice slice[MILGI_OP_SLICES]; /* the content; references of the caller's */
    uint8_t slices_n;
    uint32_t len;
};
enum milgi__pop {
    MILGI__POP_NONE,
    MILGI__POP_MESSAGE,
    MILGI__POP_FAILED
};

#define MILGI__SHORT_MAX 32u /* records that are opened or sealed at once */
/* Bytes of ciphertext that are kept until what stands before them has been taken. */
#define MILGI__SHORT_KEPT 4096u

/* Records that were opened at once; |at|: taken. */
struct milgi__opened {
    unsigned n, at;
    struct milgi_op_record record[MILGI__SHORT_MAX];
    uint8_t kept[MILGI__SHORT_KEPT]; /* of all but the first, one behind the other */
};

/* Records are sealed at once while these are not reached. */
struct milgi__short_limits {
    uint64_t records;            /* under the key */
    uint64_t framed;             /* bytes, ever */
    unsigned slices;             /* that they lie in */
    enum milgi__reserve reserve; /* what may be drawn on for them */
};
/*
 * Those that were sealed at once, finished; each slice is one or more records that stand side by side, with a reference
 * for the caller.
 */
struct milgi__sealed {
    unsigned n, slices_n;
    uint32_t len[MILGI__SHORT_MAX]; /* of each record, without its front */
    struct milgi_slice slice[MILGI__SHORT_MAX];
};
