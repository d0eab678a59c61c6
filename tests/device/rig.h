/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device under test with one queue pair, and jobs: ops that know what must become of them. A rig belongs to one
 * thread, and nothing here ends a test by itself, so that rigs may run in threads: complaints are texts.
 */
#pragma once

#include <stdbool.h>

#include <milgi/device.h>

#include "buf/region.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/kex.h"
#include "crypto/sign.h"
#include "crypto/x509.h"
#include "op/op.h"

#define RIG_DEV 3 /* the device's index in the engine that this stands for */

enum rig_suite {
    RIG_AES_128_GCM,
    RIG_AES_256_GCM,
    RIG_CHACHA20_POLY1305,
    RIG_SUITES
};

enum rig_signer {
    RIG_P256,
    RIG_P384,
    RIG_P521,
    RIG_RSA,
    RIG_RSA_PSS,
    RIG_ED25519,
    RIG_SIGNERS
};

struct rig {
    struct milgi_device *device;
    const struct milgi_device_ops *ops;
    struct milgi_qp *qp;
    struct milgi_clock clock;
    uint64_t virtual_ns; /* the time, when the clock is virtual */
    bool is_virtual;
    struct milgi__crypto *cx; /* to find out by itself what is right */
    struct milgi_key aead[RIG_SUITES], signer[RIG_SIGNERS], trust;
    void *signer_dev[RIG_SIGNERS][MILGI_DEVICES_MAX], *trust_dev[MILGI_DEVICES_MAX];
    uint64_t random;
    struct milgi__region memory; /* of the device, for jobs */
};

/* Where a complaint is to end a test all the same. */
#define assert_fine(complaint) \
    do { \
        const char *fine_why = (complaint); \
        if (fine_why) \
            fail_msg("%s", fine_why); \
    } while (0)

/* Opens a queue pair on |device|, loads its keys. NULL, or the complaint. */
const char *rig_open(struct rig *rig, struct milgi_device *device, bool virtual_time, uint64_t seed);
/* quiesce, key_free, qp_close: everything has been dequeued. The device stays. */
void rig_close(struct rig *rig);
/* Identities and trust, made once; the first call before there are threads. */
void rig_prepare(void);
void rig_done(void);
/* What a signer's key came from, and where else it is: |uri| is borrowed. */
struct identity;
const struct identity *rig_identity(enum rig_signer signer);
void rig_at(enum rig_signer signer, char *uri, bool remote);

/*
 * Puts the keys into a token too (tokens.c), for devices that look for them there, in this process or behind a server.
 * Rigs that are opened from now on use it. false: no token can be made on this system.
 */
bool rig_tokens(bool remote);
void rig_tokens_done(void);

/* Loads or frees the key as an engine would. false: the device cannot load it. */
bool rig_key_load(struct rig *rig, struct milgi_key *key);
void rig_key_free(struct rig *rig, struct milgi_key *key);

/* Whether the device can be made here: a module, or what it stands on, is nothing that everybody has. Says why not. */
bool rig_is_here(const char *spec);

uint64_t rig_random(struct rig *rig);
bool rig_can(const struct rig *rig, int type, uint16_t alg);
uint64_t rig_now(const struct rig *rig);

/* --- jobs ------------------------------------------------------------------------------------------------------- */

struct job {
    struct milgi_op op;
    struct milgi_op before; /* what it was when it was made */
    struct rig *rig;
    uint8_t *src, *dst, *src_before; /* the ends of |dst| are guarded */
    size_t src_len, dst_len, size;
    struct milgi__slab *slab; /* what |src| was taken from; NULL: the heap */
    enum milgi_op_status want;
    uint8_t expect[MILGI_KEX_SECRET_MAX]; /* of DERIVE */
    uint8_t *result;                      /* of SEAL and OPEN */
    size_t result_len;
    bool back;
};

struct job_aead {
    enum rig_suite suite;
    unsigned len; /* of the content */
    unsigned pad;
    uint8_t inner; /* 0: none */
    unsigned pieces;
    bool in_place, forged;
};

struct job *job_seal(struct rig *rig, const struct job_aead *aead);
struct job *job_open(struct rig *rig, const struct job_aead *aead);
struct job *job_keygen(struct rig *rig, uint16_t group);
enum job_share {
    SHARE_GOOD,
    SHARE_SHORT,
    SHARE_OFF_CURVE, /* X25519: all zeros */
};
struct job *job_derive(struct rig *rig, uint16_t group, enum job_share share);
struct job *job_encaps(struct rig *rig, uint16_t id, enum job_share share);
struct job *job_decaps(struct rig *rig, uint16_t id, enum job_share share);
/* KEYGEN, ENCAPS and DECAPS that make no sense, one of so many. */
#define MALFORMED_KEMS 7
struct job *job_malformed_kem(struct rig *rig, unsigned how);
struct job *job_sign(struct rig *rig, enum rig_signer signer, uint16_t scheme);
struct job *job_verify(struct rig *rig, enum rig_signer signer, uint16_t scheme, bool forged);
struct job *job_chain(struct rig *rig, const char *name);
/* A few bytes to seal: the cheapest there is. */
struct job *job_small(struct rig *rig);
/* Any of the above that the device can do. */
struct job *job_any(struct rig *rig);
void job_free(struct job *job);

struct job *job_of(struct milgi_op *op);

/* NULL if it came back as it should; else the complaint. |want| other than the job's: only the status is looked at. */
const char *job_check(struct job *job);
/* NULL if nothing of op, source and destination has changed since it was made (but the device's scratch). */
const char *job_untouched(const struct job *job);

/* Offers until all are accepted; what comes back meanwhile is marked so. NULL, or the complaint. */
const char *rig_enqueue(struct rig *rig, struct job *const *jobs, unsigned n);
/* Sleeps, as a host would, until something comes back, and marks it. Complains after 20 s. */
const char *rig_wait(struct rig *rig);
/* Until all of them are back, then checks each. */
const char *rig_finish(struct rig *rig, struct job *const *jobs, unsigned n);
/* The same for one: enqueue, wait, check, free. */
const char *rig_run(struct rig *rig, struct job *job);

/* The schemes that a signer's key can sign with, 0 behind the last. */
const uint16_t *rig_schemes(enum rig_signer signer);
