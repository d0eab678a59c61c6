/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel with TLS that is none: behind the adapter's table of calls it seals and opens real records, with the keys
 * that it is given, between the two sides of a pair; and does whatever a test wants of it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "configs.h"
#include "milgi_ktls.h"
#include "pair.h"

struct kernel_key {
    bool on;
    uint16_t version, cipher;
    uint8_t raw[32], raw_len, iv[12];
    uint64_t sequence;
    unsigned len; /* of the struct that it came in */
};

/* One end of the connection: its socket, its kernel, its adapter. */
struct end {
    struct pair_side *side;
    struct milgi_ktls *ktls;
    struct kernel_key key[2]; /* by enum milgi_direction */
    struct pair_bytes in;     /* came over the wire, and was not read */
    struct pair_bytes opened; /* the rest of a record that was read in part, of this type: */
    uint8_t opened_type;
    bool key_pending; /* a KeyUpdate was opened: nothing more before the next key */
    int pending;      /* an error of the socket that nobody has asked for */
    bool ended;       /* behind |in| the transport has ended */
    bool exact;       /* no more is read than to the end of a record, while the connection opens itself */
    bool want[2];     /* to be taken as soon as that can be */
    int taken[2];     /* what milgi_ktls_take() has answered last */
    size_t read_most; /* 0: as much as is asked for */
    int kept;         /* what was done with the end: milgi_ktls_read() */
    bool splices;     /* data that comes goes through a pipe, past the connection */
    int pipe[2];      /* which is made when it is wanted */

    /* what goes wrong, as negative errnos; 0: nothing */
    int no_ulp, no_key[2], no_rekey[2], no_count;
    int send_error, receive_error, splice_error;
    unsigned send_errors; /* so often, then never again */
    size_t room;          /* so many bytes are taken before it is full */
    size_t send_most;     /* so many of one call; 0: all */

    /* what was seen */
    unsigned ulps, keys[2], records[2], sends, splices_n, sent_types[256], options[8];
    size_t bytes_sent, bytes_spliced;
    void (*saw_secret)(const void *value); /* in what it is given; may be NULL */
};

extern struct pair pair;
extern struct end ends[2]; /* by enum milgi_role */
extern struct end *client, *server;

struct play {
    uint16_t version, suite; /* 0: 1.3, any */
    void (*configure)(struct milgi_config *config, enum milgi_role role);
    uint32_t count_every; /* 0: 1, so that tests see every record */
    bool refused;         /* the config says nothing of handing over */
};
void play_begin(const struct play *play);
void play_end(void);
/* Runs both ends until nothing moves any more. */
void play_settle(void);
/* Both are established, and have what they want to have. */
void play_hand_over(bool client_sends, bool client_receives, bool server_sends, bool server_receives);
/* |bytes| of a pattern from one end to the other, through the connections; checked on arrival. */
void play_send(struct end *from, size_t bytes);
/* The same out of a pipe, past the connection; how much the kernel took before it answered something else, |*rv|. */
size_t play_splice(struct end *from, size_t bytes, int *rv);
/* All that was sent has arrived, as it was. */
void play_check(void);
/* A record of this end's kernel, which the connection knows nothing of; it may be empty. */
void kernel_seal(struct end *e, uint8_t type, const void *data, size_t len);
/* Both sides end in order. */
void play_close(void);

int kernel_setup(void **state);
int kernel_teardown(void **state);
