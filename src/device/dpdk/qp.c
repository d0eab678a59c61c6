/* SPDX-License-Identifier: Apache-2.0 */
/* A queue pair: in bursts into the cryptodev and out of it again. */
#include "device/dpdk/dpdk.h"

#include <stdio.h>
#include <time.h>

#include <rte_errno.h>

#define NAP_NS 50000

/* --- made ------------------------------------------------------------------------------------------------------- */

static size_t slot_size(const struct dpdk_device *dpdk)
{
    return DPDK_SLOT_AT - DPDK_OP_SIZE + sizeof(struct dpdk_slot) + (dpdk->rsa ? 2 * DPDK_RSA_MAX : 0);
}

static bool make_pools(struct milgi_qp *qp)
{
    struct dpdk_device *dpdk = qp->dpdk;
    unsigned number = dpdk_eal_number(), room = dpdk->headroom + DPDK_INPUT_MAX + DPDK_TAG + dpdk->tailroom;
    char name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof name, "milgi%u-op", number);
    qp->ops = rte_crypto_op_pool_create(
        name, RTE_CRYPTO_OP_TYPE_UNDEFINED, dpdk->depth, 0, (uint16_t)slot_size(dpdk), dpdk->socket);
    snprintf(name, sizeof name, "milgi%u-mbuf", number);
    qp->mbufs = rte_pktmbuf_pool_create(name, dpdk->depth * (DPDK_SEGMENTS + 1), 0, 0, 0, dpdk->socket);
    if (!qp->ops || !qp->mbufs)
        return false;
    if (!dpdk->copies)
        return true;
    snprintf(name, sizeof name, "milgi%u-own", number);
    qp->own = rte_pktmbuf_pool_create(
        name, dpdk->depth, 0, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + room), dpdk->socket);
    return qp->own != NULL;
}

static bool make_slot(struct milgi_qp *qp)
{
    struct rte_crypto_op *crypto = rte_crypto_op_alloc(qp->ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC);

    if (!crypto)
        return false;
    struct dpdk_slot *slot = (struct dpdk_slot *)(void *)((uint8_t *)crypto + DPDK_SLOT_AT);
    memset(slot, 0, sizeof *slot);
    slot->crypto = crypto;
    slot->qp = qp;
    slot->next = qp->free;
    qp->free = slot;
    if (rte_pktmbuf_alloc_bulk(qp->mbufs, slot->src, DPDK_SEGMENTS) != 0)
        return false;
    slot->dst = rte_pktmbuf_alloc(qp->mbufs);
    if (!slot->dst || !qp->dpdk->copies)
        return slot->dst != NULL;
    slot->own = rte_pktmbuf_alloc(qp->own);
    return slot->own != NULL;
}

struct milgi_qp *dpdk_qp_open(struct dpdk_device *dpdk, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    if (!qp)
        return NULL;
    qp->dpdk = dpdk;
    qp->clock = clock;
    qp->back_end = &qp->back;
    qp->cx = dpdk->host->crypto_new();
    bool made = qp->cx && dpdk_sessions_init(dpdk, &qp->sessions) && make_pools(qp);
    for (unsigned i = 0; made && i < dpdk->depth; i++)
        made = make_slot(qp);
    if (made)
        return qp;
    dpdk_qp_free(qp);
    return NULL;
}

/* Everything has come back, so that nothing of the pools is in use. */
void dpdk_qp_free(struct milgi_qp *qp)
{
    dpdk_sessions_fini(qp->dpdk, &qp->sessions);
    rte_mempool_free(qp->own);
    rte_mempool_free(qp->mbufs);
    rte_mempool_free(qp->ops);
    if (qp->cx)
        qp->dpdk->host->crypto_free(qp->cx);
    milgi__free(qp);
}

/* --- out of the cryptodev --------------------------------------------------------------------------------------- */

static uint64_t now_ns(const struct milgi_qp *qp)
{
    return qp->clock->monotonic_ns(qp->clock->ctx);
}

static struct dpdk_slot *slot_of(struct rte_crypto_op *crypto)
{
    return (struct dpdk_slot *)(void *)((uint8_t *)crypto + DPDK_SLOT_AT);
}

static void give_back(struct milgi_qp *qp, struct milgi_op *op)
{
    op->scratch[0] = 0;
    if (qp->first)
        qp->last->scratch[0] = (uint64_t)(uintptr_t)op;
    else
        qp->first = op;
    qp->last = op;
}

static void release(struct milgi_qp *qp, struct dpdk_slot *slot)
{
    slot->op = NULL;
    slot->next = qp->free;
    qp->free = slot;
}

/* Without a word to the op: what it had copied is wiped. */
static void take_back(struct milgi_qp *qp, struct dpdk_slot *slot)
{
    if (slot->session)
        slot->session->in_flight--;
    if (slot->session && slot->copied)
        milgi__wipe(rte_pktmbuf_mtod(slot->own, uint8_t *), slot->len);
    release(qp, slot);
}

/* Of an abandoned queue pair nobody touches the ops any more. */
static void ended(struct milgi_qp *qp, struct dpdk_slot *slot, uint32_t service_ns)
{
    struct milgi_op *op = slot->op;

    if (qp->abandoned) {
        take_back(qp, slot);
        return;
    }
    (slot->session ? dpdk_record_end : dpdk_rsa_end)(qp, slot);
    op->service_ns = service_ns;
    release(qp, slot);
    give_back(qp, op);
}

/* What a burst took is that of its ops by their length, records have an overhead as of a kilobyte. */
static uint64_t weight_of(const struct dpdk_slot *slot)
{
    return slot->session ? 1024 + slot->len : 1024 * UINT64_C(1024);
}

/* A burst of what is there, each for its engine; returns how many those are. Under the queue's lock. */
static unsigned sort_burst(struct dpdk_device *dpdk, uint16_t index)
{
    struct rte_crypto_op *crypto[DPDK_BURST];

    unsigned n = rte_cryptodev_dequeue_burst(dpdk->id, index, crypto, DPDK_BURST);
    for (unsigned i = 0; i < n; i++) {
        struct dpdk_slot *slot = slot_of(crypto[i]);
        slot->next = NULL;
        *slot->qp->back_end = slot;
        slot->qp->back_end = &slot->next;
    }
    atomic_fetch_add_explicit(&dpdk->cryptodev_ops, n, memory_order_relaxed);
    return n;
}

/*
 * Those of this engine, linked. |wanted|: what others have before them is taken out, too, however much it is; nobody
 * puts anything in meanwhile.
 */
static struct dpdk_slot *fetch(struct milgi_qp *qp, bool wanted)
{
    struct dpdk_queue *queue = &qp->dpdk->queue[qp->index];

    pthread_mutex_lock(&queue->lock);
    while (sort_burst(qp->dpdk, qp->index) > 0 && wanted && !qp->back) {
    }
    struct dpdk_slot *back = qp->back;
    qp->back = NULL;
    qp->back_end = &qp->back;
    pthread_mutex_unlock(&queue->lock);
    return back;
}

/* Returns how many ops have come to their end. */
static unsigned collect(struct milgi_qp *qp, bool wanted)
{
    bool timed = qp->dpdk->caller && !qp->abandoned; /* else there is no clock any more */
    uint64_t begun_ns = timed ? now_ns(qp) : 0;
    struct dpdk_slot *next, *back = fetch(qp, wanted);
    uint64_t fetched_ns = timed ? now_ns(qp) : 0, weight = 0;
    unsigned n = 0;

    qp->spent_ns += fetched_ns - begun_ns;
    if (!back)
        return 0;
    uint64_t spent_ns = qp->spent_ns;
    for (struct dpdk_slot *slot = back; slot; slot = slot->next)
        weight += weight_of(slot);
    for (struct dpdk_slot *slot = back; slot; slot = next) {
        uint64_t service_ns = spent_ns * weight_of(slot) / weight;
        next = slot->next;
        ended(qp, slot, (uint32_t)MILGI__MIN(service_ns, UINT32_MAX));
        n++;
    }
    /* What ending them took, where it is more than a word, is charged with those that come next. */
    qp->spent_ns = timed && qp->dpdk->copies ? now_ns(qp) - fetched_ns : 0;
    qp->in_flight -= n;
    return n;
}

unsigned dpdk_qp_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned i;

    if (qp->in_flight > 0)
        (void)collect(qp, false);
    for (i = 0; i < n && qp->first; i++) {
        ops[i] = qp->first;
        qp->first = (struct milgi_op *)(uintptr_t)qp->first->scratch[0];
        qp->inside--;
    }
    return i;
}

/* --- into it ---------------------------------------------------------------------------------------------------- */

/* What a cryptodev has not, or what makes no sense: it is found out here what is to be said of it. */
static void do_here(struct milgi_qp *qp, struct milgi_op *op)
{
    bool timed = qp->dpdk->caller;
    uint64_t begun_ns = timed ? now_ns(qp) : 0;

    atomic_fetch_add_explicit(&qp->dpdk->software_ops, 1, memory_order_relaxed);
    qp->dpdk->host->perform(qp->cx, op, NULL);
    if (timed)
        op->service_ns = (uint32_t)MILGI__MIN(now_ns(qp) - begun_ns, UINT32_MAX);
    give_back(qp, op);
}

static void give_up(struct milgi_qp *qp, struct milgi_op *op, int code)
{
    op->status = MILGI_OP_BROKEN;
    op->device_code = code;
    give_back(qp, op);
}

/* One of a burst for the cryptodev: NULL: the op has come to its end already. */
static struct dpdk_slot *begin(struct milgi_qp *qp, struct milgi_op *op)
{
    bool record = op->type == MILGI_OP_SEAL || op->type == MILGI_OP_OPEN;
    bool rsa = op->type == MILGI_OP_SIGN && qp->dpdk->rsa && dpdk_rsa_scheme(op->alg);
    struct dpdk_slot *slot = qp->free;
    int code;

    if (!rsa && (!record || !dpdk_record_fits(qp, op))) {
        do_here(qp, op);
        return NULL;
    }
    if (record && !dpdk_record_reached(qp->dpdk, op))
        code = MILGI_CODE_DPDK_REACH;
    else if (record)
        code = dpdk_record_begin(qp, slot, op) ? 0 : MILGI_CODE_DPDK_SESSION;
    else
        code = dpdk_rsa_begin(qp, slot, op);
    if (code != 0) {
        give_up(qp, op, code);
        return NULL;
    }
    qp->free = slot->next;
    return slot;
}

/* A cryptodev takes no op that it finds invalid, either: what it says of that then, it does not say of being full. */
static bool found_invalid(const struct rte_crypto_op *crypto)
{
    return crypto->status == RTE_CRYPTO_OP_STATUS_INVALID_SESSION ||
        crypto->status == RTE_CRYPTO_OP_STATUS_INVALID_ARGS || crypto->status == RTE_CRYPTO_OP_STATUS_ERROR;
}

/*
 * Up to a burst of |n| ops; returns how many are the device's now. A cryptodev that refuses some is full: these, and
 * what was offered behind them, have to be as they were, so only what stands before the first of them may end here.
 */
static unsigned put_burst(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    struct rte_crypto_op *crypto[DPDK_BURST];
    struct dpdk_device *dpdk = qp->dpdk;
    unsigned i = 0, put = 0;
    uint64_t begun_ns = dpdk->caller ? now_ns(qp) : 0; /* sessions, messages and copies are made in here, too */

    struct dpdk_slot *slot = begin(qp, ops[0]);
    qp->inside++;
    if (!slot)
        return 1;
    crypto[put++] = slot->crypto;
    for (i = 1; i < n && (ops[i]->type == MILGI_OP_SEAL || ops[i]->type == MILGI_OP_OPEN); i++) {
        if (!dpdk_record_fits(qp, ops[i]) || !dpdk_record_reached(dpdk, ops[i]) || !qp->free ||
            !dpdk_record_begin(qp, qp->free, ops[i]))
            break;
        slot = qp->free;
        qp->free = slot->next;
        crypto[put++] = slot->crypto;
        qp->inside++;
    }
    pthread_mutex_lock(&dpdk->queue[qp->index].lock);
    unsigned taken = rte_cryptodev_enqueue_burst(dpdk->id, qp->index, crypto, (uint16_t)put);
    pthread_mutex_unlock(&dpdk->queue[qp->index].lock);
    if (dpdk->caller)
        qp->spent_ns += now_ns(qp) - begun_ns;
    for (unsigned k = put; k > taken; k--) {
        take_back(qp, slot_of(crypto[k - 1]));
        qp->inside--;
    }
    qp->in_flight += taken;
    if (taken == 0 && found_invalid(crypto[0])) {
        qp->inside++;
        give_up(qp, ops[0], MILGI_CODE_DPDK_REFUSED);
        return 1;
    }
    return taken;
}

unsigned dpdk_qp_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned at = 0;

    while (at < n && qp->inside < qp->dpdk->depth && qp->free) {
        unsigned room = MILGI__MIN(qp->dpdk->depth - qp->inside, DPDK_BURST);
        unsigned taken = put_burst(qp, ops + at, MILGI__MIN(n - at, room));
        if (taken == 0)
            break;
        at += taken;
    }
    return at;
}

/* --- ending ----------------------------------------------------------------------------------------------------- */

static uint64_t real_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Cryptodevs cannot be told to leave something: what is in it is waited for. */
int dpdk_qp_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    uint64_t begun_ns = real_ns();

    while (qp->in_flight > 0) {
        if (collect(qp, true) > 0)
            continue;
        if (real_ns() - begun_ns >= limit_ns)
            return MILGI_EBUSY;
        nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
    }
    return 0;
}

bool dpdk_qp_over(struct milgi_qp *qp)
{
    while (qp->in_flight > 0 && collect(qp, true) > 0) {
    }
    return qp->in_flight == 0;
}
