/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: whatever executes ops. docs/devices.md is the guide for their authors; tests/device has the suite that
 * every device must pass.
 */
#pragma once

#include <milgi/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* enqueue() completes its ops before it returns; dequeue() hands them out at once */
#define MILGI_CAP_INLINE (1u << 0)
#define MILGI_CAP_IN_ORDER (1u << 1) /* ops come back in the order in which they went in */
#define MILGI_CAP_IN_PLACE (1u << 2) /* takes AEAD ops whose destination is their source */
#define MILGI_CAP_SCATTER (1u << 3)  /* takes AEAD ops with more than one source slice */
#define MILGI_CAP_CANCEL (1u << 4)   /* cancel() may work */
/* outside the machine or behind a token: gets SIGN only; must have a notify_fd */
#define MILGI_CAP_REMOTE (1u << 5)
/*
 * reaches no memory but what its chunk_alloc() gave: gets ops that hold chunks, which are all but those SIGNs whose
 * input and signature are in the op, only from an engine whose chunks lie in it (milgi_engine_use_memory())
 */
#define MILGI_CAP_OWN_MEMORY (1u << 6)
/* runs this process's libcrypto: its ECDSA and EdDSA signatures need no second look */
#define MILGI_CAP_LIBCRYPTO (1u << 7)
#define MILGI_CAP_KEY_LOAD (1u << 8) /* key_load() must be called for PRIVATE and TRUST keys before their first op */
/*
 * does its work inside enqueue() and dequeue(), on the engine's thread: what its ops take (service_ns) is charged to
 * the turn, and what is in it when the turn ends is taken from it before
 */
#define MILGI_CAP_CALLER (1u << 9)
/*
 * its signatures are made by code of this process that has passed known-answer tests on this processor: as those of
 * libcrypto they need no second look, unless the engine's options want one (check_tested)
 */
#define MILGI_CAP_TESTED (1u << 10)
#define MILGI_CAP_HASHED (1u << 11) /* makes signatures of a hash that it is given, too (milgi_op_sign.hashed) */
/*
 * handshake ops of one kind that it gets with one enqueue() may take it less each than one alone, as op.service_ns
 * tells (each its share): the engine does not divide them between it and its own thread where that is so
 */
#define MILGI_CAP_TOGETHER (1u << 12)
/*
 * verifies each RSA signature that it has made before it gives it back, on its own threads, and gives back one that is
 * wrong as BROKEN, MILGI_CODE_BAD_SIGNATURE: the engine does not do it once more, on the loop's thread
 */
#define MILGI_CAP_VERIFIES (1u << 13)

#define MILGI_OP_BIT(type) (1u << (type))

struct milgi_device_caps {
    uint32_t flags;         /* MILGI_CAP_* */
    uint32_t ops;           /* MILGI_OP_BIT()s of the types it takes */
    uint32_t parallelism;   /* ops that really run at once, at least 1 */
    uint32_t max_in_flight; /* per queue pair, at least 1: enqueue() refuses beyond it */
    uint32_t best_batch;    /* ops per enqueue() that suit it best, at least 1 */
    /* smallest record, in bytes, that is worth sending there; UINT32_MAX: records only when asked for by policy */
    uint32_t min_record;
    uint32_t wake_ns; /* what waking it costs */
    /* of a CALLER: how long an op waits for others that it could be done with; 0: until all have had their turn */
    uint32_t gather_ns;
};

struct milgi_clock {
    uint64_t (*monotonic_ns)(void *ctx); /* for deadlines; never goes back */
    int64_t (*wall_s)(void *ctx);        /* seconds since 1970 UTC, for certificates */
    void *ctx;
};

struct milgi_device;
struct milgi_qp; /* a queue pair: the device's own struct, one per engine */

/*
 * What a device implements. All functions that are given a queue pair are called on the thread of its engine.
 *
 * supports   1 if it takes this algorithm for this op type (the type is in caps.ops), else 0. May be NULL: all of
 *            them.
 * qp_open    a queue pair for one engine; |clock| stays valid until qp_close. NULL: it has no more.
 * qp_close   after quiesce(), whatever that answered. When it was MILGI_EBUSY, the queue pair is ABANDONED: the engine
 *            leaves the ops that have not come back, with their memory and keys, as they are for the rest of the
 *            process's life; the device keeps what it needs to go on with them, and tells nobody. Never blocks.
 * key_load   what the device needs of a PRIVATE or TRUST key, usable by several of its workers at once; NULL: cannot
 *            (the key is used on the inline device instead). Must not block: a device that needs long starts the work
 *            here, and holds back the ops that come before it is done.
 * key_free   the key goes: no op refers to it (that of an abandoned op never goes). Called for AEAD keys too, whenever
 *            they may have been used here: forget and wipe what was made of it, if anything was. AEAD keys that
 *            outlive the queue pair are not named any more: qp_close forgets them all.
 * enqueue    accepts the first 0..n ops and never blocks. FEWER THAN n MEANS FULL AND NOTHING ELSE: an op that the
 *            device does not understand is accepted and comes back BROKEN. A refused op is untouched and will be
 *            offered again unchanged.
 * dequeue    up to n finished ops, in any order, each with its final status; 0 if there are none now.
 * process    seals or opens (|type|) |n| records of one AEAD key at once, on the calling thread, and sets the status of
 *            each: no op, nothing under way afterwards. For inline devices alone, beside enqueue(). May be NULL.
 * notify_fd  an fd that becomes readable when ops have finished after arm(); -1: none. The same for the life of the
 *            queue pair.
 * arm        asks for one notification when an op finishes. Returns 1 if finished ops are waiting already (nothing is
 *            armed then: dequeue again), else 0. NULL if there is no fd.
 * next_event the time (of the clock) when dequeue() will have something without anybody's doing, UINT64_MAX if
 *            unknown. May be NULL.
 * cancel     best effort; the op still comes back. May be NULL.
 * idle       the engine, whose time it is |now_ns|, has nothing to do: wipe what is kept for ops that may still come
 *            when it has been kept for long. Returns when to ask again, UINT64_MAX: nothing is kept. Only the inline
 *            device that every engine has is asked, each time before it sleeps. May be NULL.
 * health     0, or a device code: do not route to it now. May be NULL.
 * wrong      the signature that |op| has come back from dequeue() with does not verify; its scratch is as it was then.
 *            If nobody else has the key, the op is enqueued once more, if the device is in service and has this
 *            function: it is for those that may do better the next time, elsewhere. May be NULL.
 * quiesce    from now on the device begins nothing more: ops that it had not begun come back from dequeue() as
 *            CANCELLED. It waits for those that it has begun, for |limit_ns| of real time at most (0: not at all).
 *            Returns 0: it writes no more to any op, chunk or key of this queue pair, and what has not come back by
 *            then never will; the queue pair may be used on. Returns MILGI_EBUSY: it still works on something whose
 *            memory nobody may touch; only dequeue(), quiesce() again and qp_close() are left. A device that works in
 *            memory of its own takes the op away from a call that hangs, gives it back as CANCELLED, and returns 0.
 *            May be NULL: nothing is ever under way.
 * chunk_alloc, chunk_free   memory for the chunks of engines that want it from here (milgi_engine_use_memory()), always
 *            |size| MILGI_MEMORY_SLAB, aligned to 64 bytes at least; what is in it is nobody's secret any more when it
 *            comes back. For several engines and from any thread; chunks may outlive engine and queue pair, but not the
 *            device. chunk_alloc returns NULL when it has no more now: a state, not a failure. Both NULL: it has none.
 * destroy    frees the device; every queue pair is closed. In bounded time: threads that do not come out of a call
 *            are left to the process, and with them what they may touch.
 */
struct milgi_device_ops {
    const char *name;
    int (*supports)(struct milgi_device *device, int type, uint16_t alg);
    struct milgi_qp *(*qp_open)(struct milgi_device *device, const struct milgi_clock *clock);
    void (*qp_close)(struct milgi_qp *qp);
    void *(*key_load)(struct milgi_qp *qp, const struct milgi_key *key);
    void (*key_free)(struct milgi_qp *qp, const struct milgi_key *key, void *loaded);
    unsigned (*enqueue)(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n);
    unsigned (*dequeue)(struct milgi_qp *qp, struct milgi_op **ops, unsigned n);
    void (*process)(struct milgi_qp *qp, int type, const struct milgi_key *key, struct milgi_op_record *records,
        unsigned n);
    int (*notify_fd)(struct milgi_qp *qp);
    int (*arm)(struct milgi_qp *qp);
    uint64_t (*next_event)(struct milgi_qp *qp);
    void (*cancel)(struct milgi_qp *qp, struct milgi_op *op);
    uint64_t (*idle)(struct milgi_qp *qp, uint64_t now_ns);
    int (*health)(struct milgi_qp *qp);
    void (*wrong)(struct milgi_qp *qp, const struct milgi_op *op);
    int (*quiesce)(struct milgi_qp *qp, uint64_t limit_ns);
    void *(*chunk_alloc)(struct milgi_device *device, size_t size);
    void (*chunk_free)(struct milgi_device *device, void *memory, size_t size);
    void (*destroy)(struct milgi_device *device);
};

/* The head of every device. */
struct milgi_device {
    const struct milgi_device_ops *ops;
    struct milgi_device_caps caps;
    char spec[96]; /* as it was asked for, for people */
    /*
     * The application's, set before an engine has the device; NULL: it does not want to know. A device whose keys live
     * in several places (tokens, servers) says that one of them, |part|, has become ill, and with which code
     * (milgi_device_code_text()), or that it is well again (0). From a thread of the device's, in the order in which it
     * happens; may not call the device, nor wait for anybody who does. |part| is valid during the call, and holds no
     * secret.
     */
    void (*on_part)(void *ctx, struct milgi_device *device, const char *part, int code);
    void *part_ctx;
    /* the process that made it; no other may use it. 0: not known, as in a device that is not built in */
    uint64_t process;
    const char *note; /* for people: what it cannot do here although others of its name can; NULL: nothing */
};

/*
 * A built-in device from its description: "cpu", "pool:4", "sim:latency=1ms,units=16,depth=256,order=out",
 * "chaos:seed=7" (docs/devices.md has every word). Times take ns, us, ms or s. Make devices after fork(). On failure
 * *|device| is NULL and, when |why| is not NULL, *|why| is a text that says what is wrong with |spec|, valid until this
 * thread makes another device. Returns 0, MILGI_EINVAL (a word or value that does not exist), MILGI_EUNSUPPORTED (not
 * built in, and no module of that name) or MILGI_ENOMEM.
 */
MILGI_API MILGI_MUST_CHECK int milgi_device_new(const char *spec, struct milgi_device **device, const char **why);

/*
 * Frees a device that no engine uses any more. Blocks for a few seconds at most: a device that hangs is left to the
 * process as it is, and counted by milgi_devices_left(). In another process than its maker's nothing happens: its
 * threads and sessions are not there.
 */
MILGI_API void milgi_device_free(struct milgi_device *device);

/* How many devices could not be freed, since a thread of theirs has not come out of its call yet. Any thread. */
MILGI_API unsigned milgi_devices_left(void);

/* The names of the devices that are built in, NULL behind the last. Any thread. */
MILGI_API const char *const *milgi_device_names(void);

/*
 * Devices that stand on large libraries are modules: shared objects of their own, libmilgi-<name>.so and the version
 * that its name has. milgi_device_new() loads the one that a description names, from the directory of this library or
 * of the program that it is inside of, from where that has its libraries if that is a bin or sbin (from neither what
 * others than root and the process's user may have put there), or from where the system's loader looks (from there
 * alone in a program that has rights which its user has not); with no such file it says what to install. These are the
 * names of modules that belong to Milgi, wherever they are installed, NULL behind the last. Any thread.
 */
MILGI_API const char *const *milgi_device_module_names(void);
/*
 * For a program that links a module (its header, as <milgi/device_dpdk.h>, names the object): milgi_device_new() uses
 * it and looks for no file. |module| stays for the life of the process. Returns 0, MILGI_EUNSUPPORTED (it was built
 * with another version of the library), MILGI_ELIMIT (16 modules) or MILGI_EINVAL. Any thread.
 */
struct milgi_device_module;
MILGI_API MILGI_MUST_CHECK int milgi_device_add_module(const struct milgi_device_module *module);

/* --- device codes ----------------------------------------------------------------------------------------------- */

/*
 * What a BROKEN or LOST op says of itself in device_code, and milgi_reason.device_code hands on: negative ones are the
 * engine's, small ones those of libcrypto on whatever device. Devices with codes of their own have a header of their
 * own, as device_pkcs11.h. X(name, value, text)
 */
#define MILGI_CODES(X) \
    X(MILGI_CODE_BAD_SIGNATURE, -1000, "the device's signature does not verify") \
    X(MILGI_CODE_NO_DEVICE, -1001, "no device of the engine can use the key") \
    X(MILGI_CODE_RETIRED, -1002, "the only device that can use the key is out of service") \
    X(MILGI_CODE_LOST, -1003, "the device has not answered in time") \
    X(MILGI_CODE_LIED, -1004, "the device has broken its contract and is out of service") \
    X(MILGI_CODE_NO_MEMORY, -1005, "there was not enough memory") \
    X(MILGI_CODE_MALFORMED, 1, "the operation made no sense to the device") \
    X(MILGI_CODE_NO_KEY, 2, "the key is of the wrong kind or was not loaded") \
    X(MILGI_CODE_CRYPTO, 3, "the crypto library failed")

enum milgi_code {
#define MILGI_X(name, value, text) name = (value),
    MILGI_CODES(MILGI_X)
#undef MILGI_X
};

/* Static text for a device code of the engine or a built-in device, NULL for others. Any thread. */
MILGI_API const char *milgi_device_code_text(int code);

/*
 * Signs something with the credential's private key on |device| and verifies it, to find out before the first
 * connection whether the key can be had: token there, PIN right, key the certificate's. BLOCKS for as long as the
 * device takes, up to 30 s: no call for an event loop's thread, but for any other; the engines may be running. Returns
 * 0, or MILGI_EDEVICE and in |*code| why (milgi_device_code_text(); MILGI_CODE_LOST: it has not answered),
 * MILGI_EMISMATCH (the signature is another key's), MILGI_EUNSUPPORTED (the device does not take such keys),
 * MILGI_ELIMIT (it has no queue pair left), MILGI_EFORK, MILGI_EINVAL, MILGI_ENOMEM. |code| may be NULL.
 */
MILGI_API MILGI_MUST_CHECK int milgi_device_try_key(
    struct milgi_device *device, const struct milgi_credential *credential, int *code);

/* --- for devices whose keys are elsewhere, and for who works with a device without an engine --------------------- */

/*
 * What a SIGN has to be signed from, as those take it who hold keys for others: its scheme's hash of the input, written
 * to |room|, or the input itself when it is the hash already, or when the scheme signs messages (Ed25519). |*data|
 * stays valid as long as |room| and the op's input do. Returns 0; or MILGI_EINVAL: it is no SIGN, its scheme is not
 * known, or its input makes no sense. Any thread.
 */
#define MILGI_OP_HASH_MAX 64
MILGI_API MILGI_MUST_CHECK int milgi_op_to_sign(
    const struct milgi_op *op, uint8_t room[MILGI_OP_HASH_MAX], const uint8_t **data, size_t *len);

/*
 * Makes |key| the PRIVATE key of |credential| for who gives ops to a device by itself: with a serial of its own,
 * |loaded|, of MILGI_DEVICES_MAX, as the place for what key_load() returns, and one reference. |credential|, |key| and
 * |loaded| stay as they are until the device's key_free() has returned. Any thread.
 */
MILGI_API void milgi_key_init(struct milgi_key *key, const struct milgi_credential *credential, void **loaded);

#ifdef __cplusplus
}
#endif
