/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two record pipelines and the surroundings they need: ops that are performed when the test says so, in the order the
 * test says, or inside their submission. What side a seals, side b opens.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "record/record.h"

#define FLIGHT_MAX 1024
#define LOG_MAX (1u << 20)
#define EPOCHS 64

/* The handshake message that makes side b change its read key. */
#define KEY_UPDATE_LEN 5
extern const uint8_t key_update[KEY_UPDATE_LEN];

/* Of protected records. */
extern const struct milgi__format *rig_format;

struct rig;

struct side {
    struct rig *rig;
    struct milgi__record_env env;
    struct milgi__record rec;
    struct milgi_op *flight[FLIGHT_MAX]; /* submitted and not finished, oldest first */
    unsigned flight_n;
    unsigned ops_alive, ops_max;
    unsigned started;     /* ops made so far */
    uint64_t inline_mask; /* bit i: the op that is the i-th modulo 64 runs inside its submission */
    unsigned in_place;    /* how many ops were */
    bool reserve_only;    /* op_new gives ops of the reserve alone */
    unsigned epoch;       /* of the key that was installed last */
    size_t pad;           /* what env.padding answers */
    unsigned pad_asked;
};

struct rig {
    struct milgi__pool *pool;
    struct milgi__crypto *cx;
    struct side a, b;
    unsigned keys_alive;
    uint8_t *wire; /* all that a's take() gave */
    size_t wire_len, wire_fed;
    uint8_t *log; /* what b popped: type, protected, length in 2 bytes, content */
    size_t log_len;
    unsigned messages;
    int alert; /* what b found wrong; -1: nothing */
    bool broken;
    struct {
        uint64_t serial;
        uint8_t nonce[12];
    } used[512];
    unsigned used_n;
};

struct rig *rig_new(unsigned window, unsigned record_max, size_t pool_limit);
/* Checks that nothing is left behind. */
void rig_free(struct rig *rig);
void side_init(struct side *s, struct rig *rig, unsigned window, unsigned record_max);

/* The key and IV of an epoch: the same ones on both sides. The reference is the caller's. */
struct milgi_key *rig_key(struct rig *rig, unsigned epoch, uint8_t iv[12]);
/* Epoch 1 on both, and b opens ahead. */
void rig_protect(struct rig *rig);
void side_write_key(struct side *s);
void side_read_key(struct side *s);
/* A KeyUpdate of a, as one unit with the change of its key. */
void rig_key_update(struct rig *rig, bool first);

struct milgi_slice rig_slice(struct rig *rig, const void *data, size_t len);
/* Bytes that differ from place to place. */
void pattern(uint8_t *out, size_t len, unsigned seed);
void write_pattern(struct side *s, enum milgi__content type, size_t len, unsigned seed);

void side_submit(struct side *s, struct milgi_op *op);
/* Finishes the i-th in flight: OK performs it. */
void side_finish(struct side *s, unsigned i, enum milgi_op_status status);
/* Takes the i-th out of the flight; it is the caller's, to be ended with side_end(). */
struct milgi_op *side_pull(struct side *s, unsigned i);
void side_end(struct side *s, struct milgi_op *op);
/* Frames all that can be framed; returns the answer that ended it. */
enum milgi__start side_seal(struct side *s);
/* Appends what is finished to the wire. Returns how many slices came. */
unsigned rig_take(struct rig *rig);
/* Frames, finishes in order and takes until nothing is left. */
void rig_send(struct rig *rig);
/* Gives b bytes of the wire, in a chunk of their own. */
void rig_feed(struct rig *rig, size_t len);
/* b pops and starts all that it can. True: something happened. Stops at what is wrong. */
bool rig_receive(struct rig *rig);
/* The same, and finishes b's ops in order until nothing happens any more. */
void rig_receive_all(struct rig *rig);
/* One message off the start of the log. */
struct logged {
    uint8_t type;
    bool protected;
    size_t len;
    const uint8_t *data;
};
bool rig_logged(const struct rig *rig, size_t *at, struct logged *message);
/* All application data in the log. Returns its length. */
size_t rig_data(const struct rig *rig, uint8_t *out, size_t cap);
