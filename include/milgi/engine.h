/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine: one per event-loop thread. It owns connections, ops, chunks and one queue pair on each device, and
 * shares nothing.
 *
 * THE TURN. Calls like milgi_conn_receive() only stage work; milgi_engine_run() does it: parse, batch the ops of all
 * connections into bursts, enqueue, dequeue, order, deliver. It takes what was staged before it, and at most two
 * passes of what its own callbacks stage.
 *
 * A host does three things:
 *
 * 1. when schedule() is called, arrange that milgi_engine_run() is called soon (a posted event, a prepare or idle
 *    handle);
 * 2. after each run, look at the answer: AGAIN: run again soon (after other events had their chance); WAIT: run at the
 *    deadline at the latest; IDLE: nothing;
 * 3. poll milgi_engine_fd() for reading; when it is readable, run.
 *
 * CLOCKS. Deadlines are times of the engine's monotonic clock (options.clock; by default CLOCK_MONOTONIC), in
 * nanoseconds. milgi_engine_now() reads it. Certificates are judged by the wall clock of the same options.
 */
#pragma once

#include <stdbool.h>

#include <milgi/device.h>
#include <milgi/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_engine;

enum milgi_next {
    MILGI_RUN_AGAIN,
    MILGI_RUN_WAIT,
    MILGI_RUN_IDLE
};

/*
 * With MILGI_RUN_WAIT there are two times, to be compared with milgi_engine_now(). |deadline_ns|: a run must
 * not come later, so set a timer for it, rounded up to what timers can do. |convenient_ns|, never later than that: from
 * then on a run would put something in order that can wait (memory of connections that have gone quiet, keys that
 * nobody needs any more, a device that is to be tried again). Do not wake up for it; but when the host is awake after
 * it for another reason, a run is worthwhile. A host may ignore it: |deadline_ns| comes at most a second behind it.
 *
 * A deadline is judged by a turn, after what has come by then: bring what the sockets have before a run that is due. A
 * host that was stopped for longer than it meant to is answered AGAIN once, before any deadline is judged.
 */
struct milgi_run_result {
    enum milgi_next next;
    uint64_t deadline_ns, convenient_ns;
};

/* What to do when the device of an op is full (its queue, or what may be outstanding on it). */
enum milgi_full_policy {
    MILGI_FULL_WAIT,  /* wait in line; reading pauses */
    MILGI_FULL_SPILL, /* run it on the inline device when the line is longer than full_line ops */
    /*
     * as WAIT, but handshakes that have started no op yet fail with MILGI_EBUSY while the line is longer than full_line
     */
    MILGI_FULL_REFUSE
};

/* How an engine that has nothing else to do learns that a device has finished something. Every turn polls, always. */
enum milgi_completion {
    /*
     * Polled (MILGI_RUN_AGAIN) while what is in a device is expected within spin_ns, since waking up would take longer
     * than that; armed otherwise.
     */
    MILGI_COMPLETION_AUTO,
    MILGI_COMPLETION_ARM, /* always armed: the host sleeps */
    MILGI_COMPLETION_BUSY /* never armed: MILGI_RUN_AGAIN while anything is in a device; for a core of its own */
};

/* What became of a device, for on_device(). */
enum milgi_device_event {
    MILGI_DEVICE_RETIRED,  /* failing: nothing goes there until an op that tries it has succeeded */
    MILGI_DEVICE_RETURNED, /* one has: it is in service again */
    MILGI_DEVICE_REMOVED,  /* milgi_engine_remove_device() has ended: the engine uses it no more */
    /*
     * It has broken the contract of devices (milgi_device_stats.lie says how: an op given back twice ...). Nothing
     * goes there again; remove it.
     */
    MILGI_DEVICE_LIED
};

struct milgi_engine_options {
    struct milgi_clock clock; /* default: the system's clocks */
    /* cryptographically strong bytes; 0, or negative on failure. Default: libcrypto's */
    int (*random)(void *ctx, uint8_t *out, size_t len);
    void *random_ctx;
    /*
     * An idle engine has become runnable. May only arrange for a run. NULL: the host runs the engine after every
     * batch of calls by itself.
     */
    void (*schedule)(void *ctx, struct milgi_engine *engine);
    void *schedule_ctx;
    /* there had been no memory for a chunk, or to send, and it may be tried again; from inside a run. May be NULL */
    void (*on_memory)(void *ctx, struct milgi_engine *engine);
    void *memory_ctx;
    /* from inside a run; |device| may be freed when |event| is REMOVED. May be NULL */
    void (*on_device)(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *device,
        enum milgi_device_event event);
    void *device_ctx;
    size_t memory_limit;                      /* bytes of chunks, 64 KiB at least; default 1 GiB */
    uint32_t op_limit;                        /* ops alive at once, 16 at least; default 65536 */
    uint32_t conn_limit;                      /* connections; default 1048576 */
    enum milgi_full_policy full_policy;       /* default WAIT */
    uint32_t full_line;                       /* default 256 */
    uint64_t op_timeout_ns[MILGI_OP_CLASSES]; /* after which an op is LOST; default 10 s each; 0: never */
    /* re-run a BROKEN or LOST op once on the inline device when its inputs are intact; default true */
    bool rerun;
    /*
     * Records of established connections that run inline are sealed and opened in one go, without an op for each, as
     * long as nothing about them is out of the ordinary; default true. It changes nothing but speed: what the
     * application, the peer and the statistics see is the same
     */
    bool short_path;
    /*
     * Service time that may be outstanding per unit of a device's parallelism; default 20 ms. Two ops per unit may be
     * in a device however long they take.
     */
    uint64_t outstanding_ns;
    uint32_t share[MILGI_OP_CLASSES]; /* weights of the classes when a device is full; default 1 : 1 */
    enum milgi_completion completion; /* default AUTO */
    uint64_t spin_ns;                 /* of MILGI_COMPLETION_AUTO; default 5 us */
    /* how long a device without an fd is polled in MILGI_RUN_AGAIN before timers are used; default 50 us */
    uint64_t busy_poll_ns;
    /*
     * how long a burst that is smaller than the device's best_batch waits for more when the device has work already;
     * only with MILGI_COMPLETION_BUSY. Default 0: to the end of the turn
     */
    uint64_t batch_wait_ns;
    /*
     * milgi_engine_route_first(): what is expected to take longer than this is not run on the inline device while
     * another of its devices is in service, but for one op a second that finds out whether it still does; default 50 us
     */
    uint64_t inline_max_ns;
    /*
     * ECDSA and EdDSA signatures of devices that say MILGI_CAP_TESTED are verified before they are used, as those of
     * devices that are not this process's code always are; default false. RSA's are in any case, by the device itself
     * if it says MILGI_CAP_VERIFIES
     */
    bool check_tested;
    /*
     * LOST ops that a device may owe before it is taken out of service; default 256. A quarter of its max_in_flight is
     * too much in any case
     */
    uint32_t quarantine_limit;
    /*
     * How long a device that is removed, or whose engine is freed, may take to end what it is at. After that its queue
     * pair is abandoned: what it has stays its own for the rest of the process's life, and is counted
     * (milgi_engine_stats.abandoned). Default 5 s
     */
    uint64_t quiesce_ns;
};

/* Fills in every default. */
MILGI_API void milgi_engine_options_init(struct milgi_engine_options *options);

/*
 * A new engine with the inline device "cpu" at index 0. |options| is copied; NULL: all defaults. Make it after
 * fork(). Returns 0, MILGI_EINVAL (an option that makes no sense), MILGI_ENOMEM, MILGI_ELIMIT (no descriptor left).
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_new(
    const struct milgi_engine_options *options, struct milgi_engine **engine);

/*
 * Frees the engine. Connections that are left are freed without a callback; devices are quiesced, so this may block
 * for as long as their longest op, but for options.quiesce_ns in all: a device that hangs is abandoned. Chunks that the
 * application still holds stay valid until their last reference goes. Not from a callback (MILGI_EREENTRY), nor in
 * another process (MILGI_EFORK): nothing is freed then.
 */
MILGI_API int milgi_engine_free(struct milgi_engine *engine);

/*
 * Opens a queue pair on |device| (borrowed until milgi_engine_free(), or until on_device() says REMOVED) and returns
 * its index in the engine (> 0, below MILGI_DEVICES_MAX), or MILGI_EINVAL (its caps or functions make no sense: a
 * parallelism of 0 ...), MILGI_ELIMIT (it has no queue pair left, or there are MILGI_DEVICES_MAX), MILGI_EFORK (this
 * engine or this device was made in another process). By itself this routes only what would hold up everybody:
 * an op of a handshake (never a record) for whose type no device was named, and which the inline device is expected to
 * need longer for than a whole turn may take (an RSA-4096 signature), goes to the device that would finish it first,
 * of those that take it and are not MILGI_CAP_REMOTE. At any time, while traffic flows, from callbacks too.
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_add_device(struct milgi_engine *engine, struct milgi_device *device);

/*
 * Takes the device with |index| out while traffic flows. From now on nothing goes there: what waits before it and what
 * is routed there goes to the other devices of the route, else to the inline device. What is in it has |drain_ns| to
 * come back; after that it is treated as LOST (and re-run as the options say), and the device has options.quiesce_ns to
 * end, for which nobody waits. Then its queue pair is closed, or abandoned, and on_device() says REMOVED; when that
 * happens the index may be given out again (not that of one that was abandoned). |drain_ns| 0: now, in the next turn. A
 * second call can only shorten the time. Returns 0, MILGI_EINVAL (0, or no device there), MILGI_EBUSY (the engine uses
 * its memory), MILGI_EFORK. At any time, from callbacks too.
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_remove_device(
    struct milgi_engine *engine, unsigned index, uint64_t drain_ns);

/*
 * Takes the memory of all chunks from the device with |index| from now on: what is received, sealed, opened and
 * verified lies where that device reaches it, in huge pages or behind a DMA mapping, and nothing is copied on its
 * account. 0: ordinary memory again. Only while no chunk is alive: right after milgi_engine_add_device(), before the
 * first connection. A device with MILGI_CAP_OWN_MEMORY takes all ops but SIGN, and SIGN by ML-DSA or of an input that
 * has no room in the op, only in an engine that uses its memory: call this before milgi_engine_route(). When the device
 * has no more to give the pool is empty, as it is at memory_limit. Chunks that the application still holds after
 * milgi_engine_free() are to be released before the device is freed. Returns 0; MILGI_EINVAL (no such device, or it has
 * no memory to give); MILGI_EBUSY (a chunk is alive); MILGI_ENOMEM (the device has none left: nothing has changed);
 * MILGI_EREENTRY; MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_use_memory(struct milgi_engine *engine, unsigned index);

/*
 * Ops of the types |op_bits| (MILGI_OP_BIT) go to the device with |index| from now on, where its caps allow it: SEAL
 * and OPEN from |min_record| bytes on (0: the device's own min_record). Index 0: to the inline device, whatever they
 * take. Returns 0 or MILGI_EINVAL (no device there).
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_route(
    struct milgi_engine *engine, uint32_t op_bits, unsigned index, uint32_t min_record);

/*
 * OPPORTUNISTIC ROUTING. Ops of the types |op_bits| go to whichever of |device_bits| (bit i: the device with index i;
 * bit 0: the inline device) is expected to finish them first, by what each device has needed for ops of that kind,
 * what is in it and before it, and what waking it costs. Smaller records than |min_record| (0: the largest min_record
 * of those devices) stay on the inline device. With bit 0 the engine's own thread works on what a device has not begun
 * when it would be sooner; options.inline_max_ns bounds what it takes upon itself. What was decided is in the
 * statistics (milgi_engine_stats: submitted, by device and type). Overrides what was said before for these types, and
 * is overridden by the next call. Returns 0, or MILGI_EINVAL (no device there, none at all).
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_route_first(
    struct milgi_engine *engine, uint32_t op_bits, uint32_t device_bits, uint32_t min_record);

/*
 * What the engine expects an op of |type| and |alg| (for SEAL and OPEN: a record of |size| bytes) to take on one unit
 * of the device with |index|, from what it has measured, else from a built-in table; 0: no such device or type.
 */
MILGI_API uint64_t milgi_engine_expected_ns(
    const struct milgi_engine *engine, unsigned index, int type, uint16_t alg, uint32_t size);

/*
 * One turn, of about |budget_ns| nanoseconds of work (0: 1 ms): inline ops of handshakes as they were measured, records
 * and parsing as estimated. Connections that are established and those that are not get their turns in the proportion
 * of options.share. It ends with the first op that uses the budget up. Calls the callbacks. Not from a callback.
 * Returns 0, MILGI_EREENTRY or MILGI_EFORK (then *|result| says IDLE).
 */
MILGI_API int milgi_engine_run(struct milgi_engine *engine, uint64_t budget_ns, struct milgi_run_result *result);

/*
 * From a callback of a turn: what the host has done in it takes |ns| of the turn's budget, and of the share of whoever
 * it was done for, as an op would that ran inline. For hosts in whose callbacks more is done than in the engine: the
 * rest of a crowd has its turns when others have had theirs.
 */
MILGI_API void milgi_engine_charge(struct milgi_engine *engine, uint64_t ns);

/* The engine's monotonic clock, now: what every deadline is compared with. On the engine's thread. */
MILGI_API uint64_t milgi_engine_now(const struct milgi_engine *engine);

/*
 * One descriptor, the same for the engine's life, readable when the engine should be run. -1 in another process only.
 */
MILGI_API int milgi_engine_fd(struct milgi_engine *engine);

/*
 * Any thread: |fn| is called with |arg| at the start of the engine's next turn, which this causes by waking the
 * engine's fd. Calls from one thread keep their order. Returns 0 or MILGI_ENOMEM. Not after milgi_engine_free() has
 * begun; what was posted before that is called by it.
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_post(struct milgi_engine *engine, void (*fn)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
