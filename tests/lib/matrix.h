/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every adapter must do on every kind of device: bytes both ways, many connections at once, slow ends, crumbs, one
 * direction before the other, ends with ops in flight, a device that goes. Every byte and every descriptor is looked
 * at. MILGI_TESTS_FULL: 100 MB, and 1000 connections; see docs/testing.md.
 */
#pragma once

#include <milgi/milgi.h>

#define MATRIX_CROWD 1000u /* connections at once at most */

struct end; /* of a connection: what the adapter's test takes for one */

struct matrix_state {
    size_t sent_len, got_len; /* of the pattern; what has come was compared */
    bool opened, ended;       /* the peer's end in order has been told */
    bool closed;              /* nothing more comes, or something has failed */
};

/* An adapter, in whose loop is the world of one scenario at a time. NULL: it has none. */
struct matrix_host {
    /* With |device|, or the processor alone; in a full run nothing ends because it takes long. */
    void (*open)(const char *device, bool full);
    /* Ends what is left, however it is, waits for it, and looks that everything is back. */
    void (*close)(void);
    /* Begins |n| of them: ends[2 * i] is a client's, ends[2 * i + 1] a server's; those of one alone are peers. */
    void (*connect)(struct end **ends, unsigned n);
    /* One of them, on sockets, which it takes. */
    void (*connect_over)(struct end **ends, int client, int server);
    /* Where there are no sockets: the wire carries at most so many bytes at once from here on. */
    void (*crumbs)(size_t most);
    /* One iteration of the loop, which may sleep until there is something to do. */
    void (*turn)(bool waits);
    /* Ends of connections that have not ended in the background, either. */
    unsigned (*streams)(void);
    /* There are none any more: looks that nothing of them is left, and may wait for it. */
    void (*rest)(void);
    /* Each that there is, then NULL. */
    struct milgi_engine *(*engine)(unsigned i);
    struct matrix_state (*state)(const struct end *e);
    /* Goes on to send until |len| bytes are sent in all; then its end, if |last|. It may not be open yet. */
    void (*send)(struct end *e, size_t len, bool last);
    /* Takes nothing from here on but what take() does, or all again. */
    void (*hold)(struct end *e, bool on);
    /* At most |most| of what is there; may run the loop. How much. */
    size_t (*take)(struct end *e, size_t most);
    /* Looks that both directions have ended in order and nothing else was told. */
    void (*in_order)(const struct end *e);
    /* Ends |e|, whatever it is doing, in one of |ways|; its peer may find that it is over. */
    void (*break_off)(struct end *e, unsigned way);
    unsigned ways;
    /* In the place of the scenario that has break_off(). */
    void (*sudden_ends)(const char *device);
    size_t unread_max; /* what who takes nothing may have been given */
    size_t under_way;  /* and what may have been sent to him, with what the kernel holds; 0: as much as that likes */
};

/* Set while matrix_run() runs. */
extern bool matrix_full;

/* For a main(): what it returns. */
int matrix_run(const struct matrix_host *host);
