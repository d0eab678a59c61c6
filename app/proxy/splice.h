/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plaintext between a client's stream, whose records the kernel has, and the backend's socket: through a pipe for
 * each direction, past the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <milgi_uv.h>

struct splice;

/* What it tells, from the loop. Each may end it by splice_end(). */
struct splice_events {
    void (*moved)(void *arg);
    /*
     * The pipe to the backend is empty: may more come into it? If not, what the process itself has for the backend is
     * first, and splice_go() follows.
     */
    bool (*clear)(void *arg);
    /* The backend takes nothing any more (an error of libuv's); |len| bytes of the client's are lost with it. */
    void (*deaf)(void *arg, int error, size_t len);
    /* The backend has ended, and the client's stream has all of it; or it has failed. */
    void (*ended)(void *arg);
    void (*failed)(void *arg, int error);
    /* The stream does not take what the backend has said. */
    void (*lost)(void *arg);
};

/* |fd|, the backend's, and |stream| are borrowed until splice_end(). NULL: no memory or descriptors. */
struct splice *splice_new(
    uv_loop_t *loop, int fd, struct milgi_stream *stream, const struct splice_events *events, void *arg);
/* This direction from now on. False: it cannot be, and nothing has happened. */
bool splice_start(struct splice *s, enum milgi_direction direction);
bool splice_has(const struct splice *s, enum milgi_direction direction);
/* The stream's on_splice; or what clear() had to send first has gone. */
void splice_go(struct splice *s, enum milgi_direction direction);
/* This direction is the process's again; what is in its pipe is gone. */
void splice_stop(struct splice *s, enum milgi_direction direction);
/* Bytes in the pipe. */
size_t splice_held(const struct splice *s, enum milgi_direction direction);
/* There is no stream any more: what the client has said still goes to the backend. */
void splice_part(struct splice *s);
/* What is in the pipes is gone. |s| is not to be used any more. */
void splice_end(struct splice *s);
