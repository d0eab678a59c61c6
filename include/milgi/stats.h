/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine has counted and measured, by device and class of work. Always on: counters are plain integers, clocks
 * are read once per burst, and one op of 31 (of those that run inline, one of 61) is measured. docs/statistics.md says
 * how to read it.
 *
 * All functions here only read, except milgi_engine_latency_reset(); they are called on the engine's thread, from
 * callbacks too. In a child of fork() they tell what was true then.
 */
#pragma once

#include <stdbool.h>

#include <milgi/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_engine;

/* batch[i] counts bursts of 2^i to 2^(i+1) - 1 ops, the last one of all that are larger. */
#define MILGI_BATCH_SIZES 8

/*
 * Ops of one class at one device. Each that was submitted ends in one way or is in flight:
 *
 *   submitted == ok + rejected + broken + cancelled + lost + in_flight
 */
struct milgi_class_stats {
    uint64_t submitted; /* accepted by the device */
    uint64_t ok, rejected, broken, cancelled, lost;
    uint64_t rerun;   /* of those broken, cancelled or lost: begun again on another device */
    uint64_t spilled; /* meant for this device, run on another because it was full or out of service */
    uint64_t dropped; /* never begun: their connection went while they waited in line */
    uint64_t full;    /* bursts of which the device refused some */
    /* Bursts that had ops of this class, those ops, and how many it was each time. Not counted on an inline device. */
    uint64_t bursts, burst_ops, batch[MILGI_BATCH_SIZES];
    uint32_t in_flight, in_flight_peak; /* in the device, without those that are lost */
    uint32_t waiting, waiting_peak;     /* in the line before it */
};

struct milgi_device_stats {
    const char *name, *spec; /* valid until the engine's next run, or its end */
    uint64_t submitted[MILGI_OP_TYPES];
    uint64_t completed[MILGI_OP_TYPES]; /* given back by the device, those that were lost included */
    /* The sums over both classes. */
    uint64_t ok, rejected, broken, cancelled, lost, rerun, spilled, dropped;
    uint64_t full;              /* bursts that were not accepted whole */
    uint64_t bursts, burst_ops; /* calls of enqueue(), and ops accepted by them; not counted on an inline device */
    uint32_t in_flight, waiting;
    uint32_t quarantined; /* LOST ops that the device has not given back */
    bool in_service;
    const char *lie; /* how it broke the contract of devices; NULL: it has not */
    struct milgi_class_stats cls[MILGI_OP_CLASSES];
};

struct milgi_engine_stats {
    uint64_t turns;
    uint32_t conns, ops_alive, orphans;
    uint32_t abandoned, abandoned_ops;   /* queue pairs of devices that did not end in time, and ops left to them */
    size_t memory, memory_peak;          /* bytes of chunks in use */
    uint64_t bytes_copied;               /* by the library between network and application, both ways */
    uint64_t bytes_sealed, bytes_opened; /* not of directions that were handed over (handover.h) */
    unsigned devices_n;
    struct milgi_device_stats device[MILGI_DEVICES_MAX];
};
/* Fills in |stats| with what is true now. Not free: it adds up every device; call it when somebody asks. */
MILGI_API void milgi_engine_stats(const struct milgi_engine *engine, struct milgi_engine_stats *stats);

/* The time of an op, in three parts. */
enum milgi_latency_part {
    /*
     * from its submission until the device accepted it. On the inline device: of the ops that had waited before
     * another one first
     */
    MILGI_LATENCY_QUEUE,
    MILGI_LATENCY_DEVICE, /* until the device gave it back: when the engine took it, not when it was done */
    /*
     * until its turn came: a record, when all before it had been delivered; a result of a handshake, when everything
     * was there that the same step needs. Measured at the engine's last look at the clock, so 0 for what is taken at
     * once
     */
    MILGI_LATENCY_REORDER,
    MILGI_LATENCY_PARTS
};

/* Of the ops that were measured. Percentiles are of two significant digits, count, min, mean and max exact. */
struct milgi_latency {
    uint64_t count; /* if it is 0, so are the others */
    uint64_t min_ns, mean_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns;
};

/* In the place of a device's index or of a class: all of them together. */
#define MILGI_ALL (~0u)

/*
 * The |part| of the time of ops of the class |cls| (enum milgi_op_class) at the device with |index|; times above 100 s
 * count as 100 s. Returns 0, MILGI_EINVAL (no device there, no such class or part), or MILGI_ENOMEM (with MILGI_ALL).
 */
MILGI_API MILGI_MUST_CHECK int milgi_engine_latency(const struct milgi_engine *engine, unsigned index, unsigned cls,
    enum milgi_latency_part part, struct milgi_latency *latency);

/* The time within which |percent| (0 to 100) of them were, in *|ns|; 0 if there are none. Results as above. */
MILGI_API MILGI_MUST_CHECK int milgi_engine_percentile(const struct milgi_engine *engine, unsigned index, unsigned cls,
    enum milgi_latency_part part, double percent, uint64_t *ns);

/* Begins measuring anew: times and peaks start at nothing; the counters go on. */
MILGI_API void milgi_engine_latency_reset(struct milgi_engine *engine);

/*
 * All of it as text for people, a block for each device: writes up to |size| - 1 bytes and a NUL to |text| (NULL when
 * |size| is 0) and returns the length of the whole text, like snprintf(). When that is |size| or more, the text ends
 * behind the last line that fitted. Makes no promise about its form.
 */
MILGI_API size_t milgi_engine_dump(const struct milgi_engine *engine, char *text, size_t size);

#ifdef __cplusplus
}
#endif
