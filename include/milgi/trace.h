/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens inside, event by event: steps of handshakes, ops on their way to a device and back, keys, alerts, pauses
 * with their causes, ends. For finding out why a connection does what it does; docs/debugging.md says how to read it.
 *
 * Nothing is traced until milgi_engine_set_trace() was called, and that costs nothing then. Events hold no secrets and
 * no plaintext: numbers, names and lengths only. Kinds and fields are not settled: new ones come with any version, and
 * readers skip kinds that they do not know.
 *
 * ORDER. The events of one connection come in the order in which things happen. Of those, steps, keys, alerts and the
 * end are the same under every device; when ops begin and end is what devices differ in.
 */
#pragma once

#include <stdbool.h>

#include <milgi/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

enum milgi_trace_kind {
    MILGI_TRACE_NEW,            /* milgi_conn_new() */
    MILGI_TRACE_STEP,           /* u.step: a step of the handshake runs now; what follows is its doing */
    MILGI_TRACE_OP_START,       /* u.op: asked for, and routed to u.op.device; again when it is tried once more */
    MILGI_TRACE_OP_SENT,        /* u.op: the device has taken it */
    MILGI_TRACE_OP_END,         /* u.op: its status is known; of each try once */
    MILGI_TRACE_KEY,            /* u.key: a new traffic key, for what follows in its direction */
    MILGI_TRACE_STALE,          /* u.stale: records that were opened ahead of a new key are opened again */
    MILGI_TRACE_ALERT_SENT,     /* u.alert */
    MILGI_TRACE_ALERT_RECEIVED, /* u.alert */
    MILGI_TRACE_PAUSE,          /* u.pause */
    MILGI_TRACE_RESUME,         /* u.pause: the same cause is over. A pause may last to the end: then this is missing */
    MILGI_TRACE_CLOSED,         /* u.closed: as on_closed is told */
    MILGI_TRACE_FREED,          /* milgi_conn_free(): its id means nobody any more */
    MILGI_TRACE_KINDS
};

/* What a connection waits for. */
enum milgi_trace_cause {
    MILGI_TRACE_INPUT,     /* it has as much unread ciphertext as it may: MILGI_LIMIT_INPUT */
    MILGI_TRACE_CREDIT,    /* the application has as much as it may without milgi_conn_consumed() */
    MILGI_TRACE_OUTPUT,    /* milgi_conn_send() has answered MILGI_PAUSE; resumed by on_room */
    MILGI_TRACE_MEMORY,    /* no chunk or no op is free; resumed when it tries again, perhaps to wait once more */
    MILGI_TRACE_HANDSHAKE, /* the next step needs ops or decisions that are out */
    MILGI_TRACE_CAUSES
};

struct milgi_trace_event {
    enum milgi_trace_kind kind;
    uint64_t conn;    /* milgi_conn_id(); 0: an op of the engine's own */
    uint64_t time_ns; /* of the engine's monotonic clock */
    union {
        struct {
            const char *name; /* static; "open" and "failed" are the ends */
        } step;
        struct {
            uint64_t id;        /* of no other op of this engine; a second try may have an id of its own */
            uint8_t type;       /* enum milgi_op_type */
            uint8_t device;     /* its index in the engine */
            uint16_t alg;       /* suite, group or signature scheme; 0: none */
            uint32_t len;       /* SEAL and OPEN: of the record's content and what is added to it; else 0 */
            uint8_t status;     /* END: enum milgi_op_status */
            int32_t code;       /* END: the device's; 0: none */
            uint64_t took_ns;   /* END: since the device took it; 0: none has */
            uint32_t worked_ns; /* END: how much of that a unit worked on it, when the device tells; else 0 */
        } op;
        struct {
            bool write; /* our own; false: the peer's */
            uint16_t suite;
            uint64_t epoch; /* 1: early data, 2: handshake, 3: application data, then one more with each KeyUpdate */
        } key;
        struct {
            uint32_t records;
        } stale;
        struct {
            int alert; /* enum milgi_alert */
        } alert;
        struct {
            enum milgi_trace_cause cause;
        } pause;
        struct milgi_reason closed;
    } u;
};

/*
 * Told of each event, from wherever it happens, inside calls like milgi_conn_consumed() too. |event| is borrowed. May
 * call nothing of the library but functions that give names and texts.
 */
typedef void milgi_trace_fn(void *ctx, const struct milgi_trace_event *event);

/*
 * |fn| is told of all events of |engine| and its connections from now on; NULL: nobody is. Returns 0 or MILGI_EFORK. At
 * any time.
 */
MILGI_API int milgi_engine_set_trace(struct milgi_engine *engine, milgi_trace_fn *fn, void *ctx);

/* Which connection of its engine this is, in events; never 0, and given to no other while this one lives. */
MILGI_API uint64_t milgi_conn_id(const struct milgi_conn *conn);

/* "step", "op_start" ...; "input", "credit" ...; NULL for an unknown number. Any thread. */
MILGI_API const char *milgi_trace_kind_name(int kind);
MILGI_API const char *milgi_trace_cause_name(int cause);

#ifdef __cplusplus
}
#endif
