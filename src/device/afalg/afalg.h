/* SPDX-License-Identifier: Apache-2.0 */
/* The device and its queue pairs. */
#pragma once

#include "device/afalg/kernel.h"
#include "device/afalg/keys.h"
#include "device/device.h"

#define MILGI__AFALG_SUITES 3u

struct milgi__afalg {
    struct milgi_device device;
    const struct milgi__ring_kind *ring;
    unsigned depth, workers;
    uint64_t idle_ns;
    bool caller;                           /* operations end while they are begun: the ciphers wait for nothing */
    const char *name[MILGI__AFALG_SUITES]; /* the kernel's, by suite; NULL: not here */
    /*
     * Of each a socket without operations, which keeps its cipher and the modules: bind() waits for a module that has
     * to be loaded, for as long as that takes, but not for a cipher that is there.
     */
    int held[MILGI__AFALG_SUITES];
    unsigned most; /* descriptors that may be idle, of all queue pairs together */
    _Atomic unsigned qps;
    char driver[64], note[400];
    struct milgi__port_lock *lock;
    struct milgi_qp *left; /* that were closed with operations under way; under the lock */
};

/* 0x1301 and so on. */
static inline unsigned milgi__afalg_suite(uint16_t alg)
{
    unsigned i = (unsigned)alg - MILGI_SUITE_AES_128_GCM_SHA256;

    return MILGI__MIN(i, MILGI__AFALG_SUITES);
}

int milgi__device_afalg_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);

struct milgi_qp *milgi__afalg_open(struct milgi_device *device, const struct milgi_clock *clock);
void milgi__afalg_close(struct milgi_qp *qp);
void milgi__afalg_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded);
unsigned milgi__afalg_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n);
unsigned milgi__afalg_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n);
int milgi__afalg_notify_fd(struct milgi_qp *qp);
int milgi__afalg_arm(struct milgi_qp *qp);
int milgi__afalg_health(struct milgi_qp *qp);
int milgi__afalg_quiesce(struct milgi_qp *qp, uint64_t limit_ns);
/* Frees those of the queue pairs that were left whose operations have ended. True: there are no others. */
bool milgi__afalg_sweep(struct milgi__afalg *afalg);
