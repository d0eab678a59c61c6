/* SPDX-License-Identifier: Apache-2.0 */
/*
 * milgi_load: crowds of clients, orderly and not, and the plain TCP backends that they are brought to. One thread, one
 * loop. What it finds out is printed as lines `word number word number ...`, the last one when it ends.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <milgi/milgi.h>
#include <milgi_uv.h>

struct load_options {
    const char *connect, *ca, *name; /* whom to connect to, and who must vouch for it by which name */
    uint64_t conns, bad, bytes, rate, seconds, finish, shaking;
};

/* --- text.c: bytes that tell when one of them is missing, doubled, misplaced or another connection's -------------- */

#define TEXT_SPAN 65536u /* as many bytes from any offset on lie in one piece */

void text_init(void);
/* At least TEXT_SPAN bytes of the text that begins at |start|, from |offset| on. */
const uint8_t *text_at(uint64_t start, uint64_t offset);
/* Whether |data| is what stands there. */
bool text_is(uint64_t start, uint64_t offset, const uint8_t *data, size_t len);

/* --- tls.c: the client's side of TLS ------------------------------------------------------------------------------ */

struct side {
    uv_loop_t *loop;
    const struct load_options *options;
    struct sockaddr_storage address;
    struct milgi_uv *uv;
    struct milgi_config *config;
    uint8_t *hello; /* a whole ClientHello record */
    size_t hello_len;
    uint64_t slowest_ms; /* handshake */
};

/* Ends the program with a message when |rv| is negative. */
void must(int rv, const char *what);
/* |credit|: bytes that a connection takes in before its application has consumed them. */
void side_open(struct side *side, uv_loop_t *loop, const struct load_options *options, uint64_t credit);
/* A handshake that began at |begin_ms| is complete. */
void side_shook(struct side *side, uint64_t begin_ms);
void side_close(struct side *side);
uint64_t now_ms(void);

/* --- what can be done; each runs until it is over and returns the exit status ------------------------------------- */

int load_crowd(const struct load_options *options);
int load_readers(const struct load_options *options);
int load_writers(const struct load_options *options);

enum backend_kind {
    BACKEND_ECHO,   /* what comes goes back, and so does the end */
    BACKEND_SOURCE, /* sends |bytes| and its end, whatever comes */
    BACKEND_SINK    /* takes |rate| bytes a second of each connection */
};
int load_backend(enum backend_kind kind, const struct load_options *options);

/* --- bad.c: clients that misbehave -------------------------------------------------------------------------------- */

struct bad_events {
    void (*gone)(void *arg); /* one of them is over */
    void *arg;
};

#define BAD_KINDS 8
extern const char *const bad_names[BAD_KINDS];
/* How many ended as they had to, how many otherwise. */
extern uint64_t bad_right[BAD_KINDS], bad_wrong[BAD_KINDS];
/* The kind is |index| mod BAD_KINDS. |events| is borrowed until gone(). */
void bad_start(struct side *side, uint64_t index, const struct bad_events *events);
