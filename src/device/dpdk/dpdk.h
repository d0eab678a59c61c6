/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dpdk: records and RSA signatures on a cryptodev of DPDK's. What the files share.
 *
 * An op of Milgi's becomes a crypto op out of a slot, which has the mbufs that show the cryptodev where the op's data
 * lies: nothing is copied, whosever memory that is. A slot, and all that is of a queue pair, is used by the thread of
 * its engine alone.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include <rte_cryptodev.h>
#include <rte_mbuf.h>

#include <milgi/device_dpdk.h>

#include "device/module/module.h"

#define DPDK_BURST 32u
#define DPDK_TAG 16u
#define DPDK_IV 12u
#define DPDK_AAD_MAX 13u
#define DPDK_INPUT_MAX (16384u + 2048u) /* as of every op */
#define DPDK_TAIL 32u                   /* of the inner type and its padding, as much as lies in the slot */
#define DPDK_RSA_MAX 512u
#define DPDK_SEGMENTS (MILGI_OP_SLICES + 2) /* the input, its type and padding */
#define DPDK_QUEUES_MAX 64u
#define DPDK_ENGINES_MAX 64u
#define DPDK_WORKERS_MAX 8u
#define DPDK_NAME 64u

/* --- eal.c: the process's one EAL ------------------------------------------------------------------------------- */

/* Arguments are separated by '+'. */
struct dpdk_eal_options {
    const char *arguments; /* NULL: none but those that are needed */
    const char *pci;       /* the address of a device to look for; NULL: PCI is left alone */
    uint64_t memory;       /* that the devices are going to want, without huge pages */
    bool huge;             /* in huge pages, as much as there is */
};
/* Begins it, or finds it begun, and takes a reference. 0 or negative with *|why|. */
int dpdk_eal_begin(const struct dpdk_eal_options *options, const char **why);
/* |n| cores of EAL's that nobody else has, as a mask; 0: there are not so many. */
uint64_t dpdk_eal_cores(unsigned n);
void dpdk_eal_cores_free(uint64_t mask);
/* A number that no name in this process has had. */
unsigned dpdk_eal_number(void);

/* --- memory.c: slabs -------------------------------------------------------------------------------------------- */

struct dpdk_slabs;
struct dpdk_slabs *dpdk_slabs_new(uint64_t size, int socket);
void dpdk_slabs_free(struct dpdk_slabs *slabs);
void *dpdk_slabs_take(struct dpdk_slabs *slabs);
void dpdk_slabs_give(struct dpdk_slabs *slabs, void *slab);
bool dpdk_slabs_have(const struct dpdk_slabs *slabs, const void *p, size_t len);

/* --- the device ------------------------------------------------------------------------------------------------- */

enum dpdk_aead {
    DPDK_AES_128_GCM,
    DPDK_AES_256_GCM,
    DPDK_CHACHA20_POLY1305,
    DPDK_AEADS
};

struct dpdk_words {
    const char *vdev, *arguments, *pci, *name, *eal, *worker, *mode;
    uint64_t workers, memory, depth, queues, sessions, records;
    bool huge, copy;
};

/* One of the cryptodev's queue pairs. There may be fewer of them than engines: what comes out is sorted then. */
struct dpdk_queue {
    pthread_mutex_t lock;
    unsigned users;
};

struct dpdk_device {
    struct milgi_device device;
    struct milgi_device_ops ops;
    const struct milgi__module_host *host;
    uint8_t id;
    int socket;
    bool taken; /* the cryptodev */
    bool started, scattered, copies, caller, reaches_all;
    bool aead[DPDK_AEADS];        /* that the cryptodev has, with what TLS gives them */
    uint16_t aad_len[DPDK_AEADS]; /* bit n: with so many bytes of additional data */
    bool rsa;
    uint16_t rsa_min, rsa_max, rsa_step; /* bytes of a modulus; 0: any */
    uint16_t headroom, tailroom;
    unsigned depth, queues; /* ops of an engine; queue pairs of the cryptodev */
    unsigned share;         /* engines that one queue pair has room for */
    unsigned sessions_max;  /* of an engine */
    struct rte_mempool *asym_sessions;
    struct dpdk_slabs *slabs;
    uint8_t *zeros; /* padding of records, of all engines */
    uint64_t cores;
    char vdev[1 + DPDK_WORKERS_MAX][DPDK_NAME]; /* made for this device; the last first to go */
    unsigned vdevs;
    pthread_mutex_t lock;
    struct milgi_qp *qp[DPDK_ENGINES_MAX]; /* open, or abandoned */
    struct dpdk_queue queue[DPDK_QUEUES_MAX];
    _Atomic uint64_t cryptodev_ops, software_ops, bytes_copied, segments, session_n;
    char note[160];
};

/* probe.c: the cryptodev, made and looked at. 0 or negative with *|why|. */
int dpdk_cryptodev_open(struct dpdk_device *dpdk, const struct dpdk_words *words, const char **why);
void dpdk_cryptodev_close(struct dpdk_device *dpdk);
/* What it has: what the device is going to offer. */
int dpdk_cryptodev_look(struct dpdk_device *dpdk, const char **why);
int dpdk_cryptodev_start(struct dpdk_device *dpdk, const char **why);
/* For those of one engine. */
struct rte_mempool *dpdk_session_pool(const struct dpdk_device *dpdk);
/* -1: no such AEAD. */
int dpdk_aead_of(uint16_t suite);

/* --- session.c: a queue pair's sessions ------------------------------------------------------------------------- */

struct dpdk_session {
    struct dpdk_session *next;          /* of those that hash alike, or are free */
    struct dpdk_session *newer, *older; /* by their last use */
    uint64_t serial;
    void *handle; /* DPDK's */
    uint32_t in_flight;
    uint8_t type, aad_len;
};

struct dpdk_sessions {
    struct dpdk_session **bucket, *all, *free;
    struct dpdk_session newest; /* a head of the list */
    struct rte_mempool *pool;
    unsigned buckets, max;
};

bool dpdk_sessions_init(struct dpdk_device *dpdk, struct dpdk_sessions *sessions);
void dpdk_sessions_fini(struct dpdk_device *dpdk, struct dpdk_sessions *sessions);
/* NULL: none to be had. It is in flight once more. */
struct dpdk_session *dpdk_session_get(
    struct dpdk_device *dpdk, struct dpdk_sessions *sessions, const struct milgi_op *op);
void dpdk_sessions_forget(struct dpdk_device *dpdk, struct dpdk_sessions *sessions, uint64_t serial);

/* --- the queue pair --------------------------------------------------------------------------------------------- */

/* In the private part of a crypto op. */
struct dpdk_slot {
    uint8_t iv[16], aad[32], tag[DPDK_TAG], tail[DPDK_TAIL];
    struct milgi_qp *qp;
    struct milgi_op *op;
    struct dpdk_session *session; /* of a record */
    struct dpdk_slot *next;       /* of those that are free, or have come back */
    struct rte_crypto_op *crypto;
    struct rte_mbuf *src[DPDK_SEGMENTS], *dst;
    struct rte_mbuf *own; /* with room for a record, where cryptodevs take no others */
    uint32_t len;         /* of the record, without its tag */
    uint16_t rsa_len;
    bool copied;
    uint8_t rsa[]; /* message and signature, DPDK_RSA_MAX each, where there is RSA */
};

/* Where it begins in a crypto op, which is of any type. */
#define DPDK_OP_SIZE (sizeof(struct rte_crypto_op) + \
    RTE_MAX(sizeof(struct rte_crypto_sym_op), sizeof(struct rte_crypto_asym_op)))
#define DPDK_SLOT_AT RTE_ALIGN(DPDK_OP_SIZE, RTE_CACHE_LINE_SIZE)

struct milgi_qp {
    struct dpdk_device *dpdk;
    const struct milgi_clock *clock;
    struct milgi__crypto *cx;
    unsigned place; /* among the device's */
    uint16_t index; /* of the cryptodev's queue pair */
    bool abandoned;
    unsigned in_flight; /* in the cryptodev */
    unsigned inside;    /* of the device's, with those that are done and not yet taken */
    struct dpdk_sessions sessions;
    struct rte_mempool *ops, *mbufs, *own;
    struct dpdk_slot *free;
    struct dpdk_slot *back, **back_end; /* out of the cryptodev, by whomever: under the queue's lock */
    struct milgi_op *first, *last;      /* done; linked through scratch[0] */
    uint64_t spent_ns;                  /* by the cryptodev, which is this thread, and not yet said of an op */
};

/* record.c: a record as a crypto op, and back. false: the cryptodev cannot do it. */
bool dpdk_record_fits(const struct milgi_qp *qp, const struct milgi_op *op);
bool dpdk_record_begin(struct milgi_qp *qp, struct dpdk_slot *slot, struct milgi_op *op);
void dpdk_record_end(struct milgi_qp *qp, struct dpdk_slot *slot);
bool dpdk_record_reached(const struct dpdk_device *dpdk, const struct milgi_op *op);

/* rsa.c */
struct dpdk_key;
struct dpdk_key *dpdk_key_new(struct milgi_qp *qp, const struct milgi_key *key);
void dpdk_key_free(struct milgi_qp *qp, struct dpdk_key *key);
bool dpdk_rsa_scheme(uint16_t scheme);
/* 0 or a device code. */
int dpdk_rsa_begin(struct milgi_qp *qp, struct dpdk_slot *slot, struct milgi_op *op);
void dpdk_rsa_end(struct milgi_qp *qp, struct dpdk_slot *slot);

/* qp.c. NULL: there is not so much memory. */
struct milgi_qp *dpdk_qp_open(struct dpdk_device *dpdk, const struct milgi_clock *clock);
void dpdk_qp_close(struct milgi_qp *qp);
void dpdk_qp_free(struct milgi_qp *qp);
/* Whether one that was abandoned has come to its end. */
bool dpdk_qp_over(struct milgi_qp *qp);
unsigned dpdk_qp_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n);
unsigned dpdk_qp_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n);
int dpdk_qp_quiesce(struct milgi_qp *qp, uint64_t limit_ns);
