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
 * reaches no memory but what its chunk_alloc() gave: gets SEAL, OPEN, VERIFY and VERIFY_CHAIN only from an engine whose
 * chunks lie in it (milgi_engine_use_memory())
 */
#define MILGI_CAP_OWN_MEMORY (1u << 6)
/* runs this process's libcrypto: its ECDSA and EdDSA signatures need no second look */
#define MILGI_CAP_LIBCRYPTO (1u << 7)
#define MILGI_CAP_KEY_LOAD (1u << 8) /* key_load() must be called for PRIVATE and TRUST keys before their first op */

#define MILGI_OP_BIT(type) (1u << (type))

struct milgi_device_caps {
    uint32_t flags;         /* MILGI_CAP_* */
    uint32_t ops;           /* MILGI_OP_BIT()s of the types it takes */
    uint32_t parallelism;   /* ops that really run at once, at least 1 */
    uint32_t max_in_flight; /* per queue pair: enqueue() refuses beyond it */
    uint32_t best_batch;    /* ops per enqueue() that it likes best, at least 1 */
    /* smallest record, in bytes, that is worth sending there; UINT32_MAX: records only when asked for by policy */
    uint32_t min_record;
    uint32_t wake_ns; /* what waking it costs */
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
 * qp_close   after quiesce(); nothing is in flight any more.
 * key_load   what the device needs of a PRIVATE or TRUST key, usable by several of its workers at once; NULL: cannot
 *            (the key is used on the inline device instead). Must not block: a device that needs long starts the work
 *            here, and holds back the ops that come before it is done.
 * key_free   the key goes: no op refers to it. Called for AEAD keys too, whenever they may have been used here: forget
 *            and wipe what was made of it, if anything was. AEAD keys that outlive the queue pair are not named any
 *            more: qp_close forgets them all.
 * enqueue    accepts the first 0..n ops and never blocks. FEWER THAN n MEANS FULL AND NOTHING ELSE: an op that the
 *            device does not understand is accepted and comes back BROKEN. A refused op is untouched and will be
 *            offered again unchanged.
 * dequeue    up to n finished ops, in any order, each with its final status; 0 if there are none now.
 * notify_fd  an fd that becomes readable when ops have finished after arm(); -1: none. The same for the life of the
 *            queue pair.
 * arm        asks for one notification when an op finishes. Returns 1 if finished ops are waiting already (nothing is
 *            armed then: dequeue again), else 0. NULL if there is no fd.
 * next_event the time (of the clock) when dequeue() will have something without anybody's doing, UINT64_MAX if
 *            unknown. May be NULL.
 * cancel     best effort; the op still comes back. May be NULL.
 * health     0, or a device code: do not route to it now. May be NULL.
 * quiesce    when it returns, the device writes no more to any op, chunk or key of this queue pair: ops that it had
 *            not begun come back from dequeue() as CANCELLED, those that it had lost may never come back. May block
 *            for as long as the longest op takes.
 * chunk_alloc, chunk_free   memory for the chunks of engines that want it from here (milgi_engine_use_memory()), always
 *            |size| MILGI_MEMORY_SLAB, aligned to 64 bytes at least; what is in it is nobody's secret any more when it
 *            comes back. For several engines and from any thread; chunks may outlive engine and queue pair, but not the
 *            device. chunk_alloc returns NULL when it has no more now: a state, not a failure. Both NULL: it has none.
 * destroy    frees the device; every queue pair is closed.
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
    int (*notify_fd)(struct milgi_qp *qp);
    int (*arm)(struct milgi_qp *qp);
    uint64_t (*next_event)(struct milgi_qp *qp);
    void (*cancel)(struct milgi_qp *qp, struct milgi_op *op);
    int (*health)(struct milgi_qp *qp);
    void (*quiesce)(struct milgi_qp *qp);
    void *(*chunk_alloc)(struct milgi_device *device, size_t size);
    void (*chunk_free)(struct milgi_device *device, void *memory, size_t size);
    void (*destroy)(struct milgi_device *device);
};

/* The head of every device. */
struct milgi_device {
    const struct milgi_device_ops *ops;
    struct milgi_device_caps caps;
    char spec[96]; /* as it was asked for, for people */
    /* the process that made it; no other may use it. 0: not known, as in a device that is not built in */
    uint64_t process;
};

/*
 * A built-in device from its description: "cpu", "pool:4", "sim:latency=1ms,units=16,depth=256,order=out",
 * "chaos:seed=7" (docs/devices.md has every word). Times take ns, us, ms or s. Make devices after fork(). On failure
 * *|device| is NULL and, when |why| is not NULL, *|why| is a static text that says what is wrong with |spec|. Returns
 * 0, MILGI_EINVAL (a word or value that does not exist), MILGI_EUNSUPPORTED (not built in) or MILGI_ENOMEM.
 */
MILGI_API MILGI_MUST_CHECK int milgi_device_new(const char *spec, struct milgi_device **device, const char **why);

/*
 * Frees a device that no engine uses any more. In another process than its maker's nothing happens: its threads and
 * sessions are not there.
 */
MILGI_API void milgi_device_free(struct milgi_device *device);

/* The names of the devices that are built in, NULL behind the last. Any thread. */
MILGI_API const char *const *milgi_device_names(void);

/* --- device codes ----------------------------------------------------------------------------------------------- */

/*
 * What a BROKEN op says of itself in device_code, and milgi_reason.device_code hands on: those of the built-in devices
 * and of the engine. X(name, value, text)
 */
#define MILGI_CODES(X) \
    X(MILGI_CODE_BAD_SIGNATURE, -1000, "the device's signature does not verify") \
    X(MILGI_CODE_NO_DEVICE, -1001, "no device of the engine can use the key") \
    X(MILGI_CODE_RETIRED, -1002, "the only device that can use the key is out of service") \
    X(MILGI_CODE_MALFORMED, 1, "the operation made no sense to the device") \
    X(MILGI_CODE_NO_KEY, 2, "the key is of the wrong kind or was not loaded") \
    X(MILGI_CODE_CRYPTO, 3, "the crypto library failed") \
    X(MILGI_CODE_PKCS11_URI, 1101, "the key's PKCS#11 URI is malformed, or names something else than a private key") \
    X(MILGI_CODE_PKCS11_MODULE, 1102, "the PKCS#11 module cannot be loaded or does not start") \
    X(MILGI_CODE_PKCS11_NO_TOKEN, 1103, "the token is not there") \
    X(MILGI_CODE_PKCS11_TOKENS, 1104, "the key's URI fits several tokens: it has to say token= or serial=") \
    X(MILGI_CODE_PKCS11_NO_PIN, 1105, "the token asks for a PIN: the key's URI has to say pin-source= or pin-value=") \
    X(MILGI_CODE_PKCS11_PIN_SOURCE, 1106, "the PIN cannot be read from where it is said to be") \
    X(MILGI_CODE_PKCS11_PIN_WRONG, 1107, "the PIN is wrong; this one is not tried again") \
    X(MILGI_CODE_PKCS11_PIN_LOCKED, 1108, "the token has locked its PIN") \
    X(MILGI_CODE_PKCS11_PIN_LAST, 1109, "a wrong PIN would now lock the token, so none is tried: log in by hand once") \
    X(MILGI_CODE_PKCS11_PIN_CHANGE, 1110, "the token wants its PIN to be changed first") \
    X(MILGI_CODE_PKCS11_NO_OBJECT, 1111, "the token has no such private key") \
    X(MILGI_CODE_PKCS11_MISMATCH, 1112, "the token's private key does not belong to the certificate") \
    X(MILGI_CODE_PKCS11_MECHANISM, 1113, "the token cannot sign in the way that TLS asks for") \
    X(MILGI_CODE_PKCS11_NOT_ALLOWED, 1114, "the token's key may not be used for signatures") \
    X(MILGI_CODE_PKCS11_SESSIONS, 1115, "the token has no session left") \
    X(MILGI_CODE_PKCS11_GONE, 1116, "the token has failed or was removed") \
    X(MILGI_CODE_PKCS11_MEMORY, 1117, "no memory left to use the token") \
    X(MILGI_CODE_PKCS11_OTHER, 0x110000, "the token failed in a way of its own")

enum milgi_code {
#define MILGI_X(name, value, text) name = (value),
    MILGI_CODES(MILGI_X)
#undef MILGI_X
};

/*
 * Static text for a device code of the engine or a built-in device, NULL for others. Codes from
 * MILGI_CODE_PKCS11_OTHER on are that plus what the token returned (CKR_*). Any thread.
 */
MILGI_API const char *milgi_device_code_text(int code);

/*
 * Signs something with the credential's private key on |device| and verifies it, to find out before the first
 * connection whether the key can be had: token there, PIN right, key the certificate's. BLOCKS for as long as the
 * device takes; any thread, the engines may be running. Returns 0, or MILGI_EDEVICE and in |*code| why
 * (milgi_device_code_text()), MILGI_EMISMATCH (the signature is another key's), MILGI_EUNSUPPORTED (the device does not
 * take such keys), MILGI_ELIMIT (it has no queue pair left), MILGI_EFORK, MILGI_EINVAL, MILGI_ENOMEM. |code| may be
 * NULL.
 */
MILGI_API MILGI_MUST_CHECK int milgi_device_try_key(
    struct milgi_device *device, const struct milgi_credential *credential, int *code);

#ifdef __cplusplus
}
#endif
