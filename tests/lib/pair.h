/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two connections in memory, each with an engine of its own, on virtual time and with seeded randomness: everything
 * that happens is the test's doing and happens the same way every time. Works with either crypto backend; the configs
 * are the test's.
 */
#pragma once

#include <milgi/milgi.h>

#define PAIR_EVENTS 64

/* A growing list of bytes. */
struct pair_bytes {
    uint8_t *p;
    size_t len, cap;
};
void pair_bytes_add(struct pair_bytes *bytes, const void *data, size_t len);
void pair_bytes_drop(struct pair_bytes *bytes, size_t len); /* off the front */

struct pair;

struct pair_side {
    struct pair *pair;
    struct milgi_engine *engine;
    struct milgi_conn *conn;
    struct milgi_device *device[MILGI_DEVICES_MAX];
    unsigned devices_n;
    uint64_t random_state;
    struct pair_bytes wire;      /* what it has put out and the other side has not yet been given */
    struct pair_bytes sent_wire; /* all it has ever put out, when pair->keep_wire */
    struct pair_bytes got;       /* application data received */
    bool established, closed, paused, room, keep_credit, keep_output;
    int alerts[PAIR_EVENTS];
    unsigned alerts_n;
    struct milgi_reason reason;
    struct milgi_decision decision[PAIR_EVENTS]; /* asked and not answered by |decide| */
    unsigned decisions_n;
    size_t undone;           /* output handed out and not reported done, with keep_output */
    unsigned outputs, datas; /* calls */
    /* The test's own; called from the event of the same name after it was recorded. Each may be NULL. */
    void (*decide)(struct pair_side *side, const struct milgi_decision *decision);
    void (*on_output)(struct pair_side *side, const struct milgi_iov *iov, size_t n);
    void (*on_data)(struct pair_side *side, const struct milgi_slice *slices, size_t n);
    void (*on_record)(struct pair_side *side, uint8_t type, const struct milgi_iov *iov, size_t n);
    void (*on_keys)(struct pair_side *side, int direction, const struct milgi_traffic_keys *keys);
    /* "output" "data" "pause" "resume" "room" "established" "decide" "alert" "closed" */
    void (*on_event)(struct pair_side *side, const char *event);
};

struct pair {
    struct pair_side side[2]; /* by enum milgi_role */
    uint64_t now_ns;
    int64_t wall_s;
    bool keep_wire;
    size_t piece; /* the wire is handed over in pieces of this size; 0: 16 KiB */
    uint64_t budget_ns;
};

/*
 * |devices|: up to one device description per side that all its ops are routed to (records from the first byte on), by
 * role; NULL: inline. |options| NULL: defaults; clock, random and schedule are replaced in any case. Fails the test
 * when something cannot be made.
 */
struct pair_setup {
    struct milgi_config *config[2];
    const char *device[2];
    const struct milgi_engine_options *options;
    const char *server_name;
    uint64_t seed;
    int64_t wall_s; /* 0: now */
};
void pair_init(struct pair *pair, const struct pair_setup *setup);
void pair_fini(struct pair *pair);
/* Frees both connections and makes new ones in the same engines; of |setup| only configs and name. */
void pair_again(struct pair *pair, const struct pair_setup *setup);

/* One run of a side's engine; true if something may have happened: it wants to run again, or there is output. */
enum milgi_next pair_run(struct pair_side *side, uint64_t *deadline_ns);
/* Hands the other side what |from| has put out (up to |max| bytes; 0: all); returns how much. */
size_t pair_carry(struct pair_side *from, size_t max);
/*
 * Runs both sides and carries bytes until nothing moves any more; time goes on to the next deadline below |until_ns|
 * when nothing else does.
 */
void pair_settle_until(struct pair *pair, uint64_t until_ns);
void pair_settle(struct pair *pair); /* up to 5 s of virtual time */
/* Gives |side|'s connection bytes as if they came from the network. Returns milgi_conn_receive()'s last answer. */
int pair_feed(struct pair_side *side, const void *data, size_t len);
static inline struct pair_side *pair_other(struct pair_side *side)
{
    return &side->pair->side[side == &side->pair->side[0] ? 1 : 0];
}
