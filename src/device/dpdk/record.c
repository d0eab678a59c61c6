/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as a crypto op. Its pieces are shown to the cryptodev where they lie, by mbufs that own none of it: the
 * input is a chain, with the inner type and its padding at its end, the output one mbuf. Cryptodevs that take no
 * chains, or want room around the data, get one mbuf of ours, and there it is copied.
 */
#include "device/dpdk/dpdk.h"

/* Nobody frees these mbufs but their pool. */
static void nothing_to_free(void *addr, void *opaque)
{
    (void)addr;
    (void)opaque;
}

static struct rte_mbuf_ext_shared_info outside = { .free_cb = nothing_to_free, .refcnt = 1 };

static void show(struct rte_mbuf *m, void *data, uint32_t len, uint32_t room)
{
    m->ol_flags = 0; /* what it showed before was not its own either */
    rte_pktmbuf_attach_extbuf(m, data, (rte_iova_t)(uintptr_t)data, (uint16_t)room, &outside);
    m->data_len = (uint16_t)len;
    m->pkt_len = len;
    m->nb_segs = 1;
    m->next = NULL;
}

static uint32_t tail_len(const struct milgi_op_aead *a)
{
    return a->inner_type != 0 ? 1u + a->pad_len : 0;
}

/* SEAL and OPEN that make no sense are not for here: who does them in software says what is wrong with them. */
bool dpdk_record_fits(const struct milgi_qp *qp, const struct milgi_op *op)
{
    const struct milgi_op_aead *a = &op->u.aead;
    int aead = dpdk_aead_of(op->alg);
    uint64_t len = 0;

    if (aead < 0 || !qp->dpdk->aead[aead] || a->in_place || a->src_n > MILGI_OP_SLICES)
        return false;
    if (!op->key || op->key->kind != MILGI_KEY_AEAD || op->key->alg != op->alg)
        return false;
    if (a->aad_len > DPDK_AAD_MAX || !(qp->dpdk->aad_len[aead] >> a->aad_len & 1))
        return false;
    for (unsigned i = 0; i < a->src_n; i++) {
        if (!a->src[i].data && a->src[i].len > 0)
            return false;
        len += a->src[i].len;
    }
    len += op->type == MILGI_OP_SEAL ? tail_len(a) : 0;
    /* Cryptodevs differ in what they make of nothing. */
    if (len == 0 || len > DPDK_INPUT_MAX || !a->dst)
        return false;
    return a->dst_len >= len + (op->type == MILGI_OP_SEAL ? DPDK_TAG : 0);
}

bool dpdk_record_reached(const struct dpdk_device *dpdk, const struct milgi_op *op)
{
    const struct milgi_op_aead *a = &op->u.aead;

    if (dpdk->reaches_all || dpdk->copies)
        return true;
    for (unsigned i = 0; i < a->src_n; i++) {
        if (!dpdk_slabs_have(dpdk->slabs, a->src[i].data, a->src[i].len))
            return false;
    }
    return dpdk_slabs_have(dpdk->slabs, a->dst, a->dst_len);
}

/* --- shown where it lies ---------------------------------------------------------------------------------------- */

/* The mbufs src[0] to src[n - 1] of a slot. */
struct chain {
    unsigned n;
    uint32_t len;
};

static void add(struct chain *chain, struct dpdk_slot *slot, void *data, uint32_t len)
{
    if (len == 0)
        return;
    show(slot->src[chain->n], data, len, len);
    if (chain->n > 0)
        slot->src[chain->n - 1]->next = slot->src[chain->n];
    chain->n++;
    chain->len += len;
}

/* The type and the first of its padding lie in the slot, the rest is of zeros that are there for all. */
static void add_tail(const struct milgi_qp *qp, struct chain *chain, struct dpdk_slot *slot)
{
    const struct milgi_op_aead *a = &slot->op->u.aead;
    uint32_t len = tail_len(a), here = MILGI__MIN(len, DPDK_TAIL);

    if (len == 0)
        return;
    memset(slot->tail, 0, here);
    slot->tail[0] = a->inner_type;
    add(chain, slot, slot->tail, here);
    add(chain, slot, qp->dpdk->zeros, len - here);
}

static void show_record(struct milgi_qp *qp, struct dpdk_slot *slot, struct rte_crypto_sym_op *sym)
{
    struct milgi_op_aead *a = &slot->op->u.aead;
    bool seal = slot->op->type == MILGI_OP_SEAL;
    struct chain chain = { .n = 0 };

    for (unsigned i = 0; i < a->src_n; i++)
        add(&chain, slot, a->src[i].data, a->src[i].len);
    if (seal)
        add_tail(qp, &chain, slot);
    slot->len = chain.len;
    slot->src[0]->pkt_len = chain.len;
    slot->src[0]->nb_segs = (uint16_t)chain.n;
    show(slot->dst, a->dst, slot->len, slot->len + (seal ? DPDK_TAG : 0));
    sym->m_src = slot->src[0];
    sym->m_dst = slot->dst;
    sym->aead.digest.data = seal ? a->dst + slot->len : slot->tag;
    if (chain.n > 1)
        atomic_fetch_add_explicit(&qp->dpdk->segments, chain.n, memory_order_relaxed);
}

/* --- copied ----------------------------------------------------------------------------------------------------- */

static void count_copy(struct milgi_qp *qp, uint32_t len)
{
    atomic_fetch_add_explicit(&qp->dpdk->bytes_copied, len, memory_order_relaxed);
}

static void copy_record(struct milgi_qp *qp, struct dpdk_slot *slot, struct rte_crypto_sym_op *sym)
{
    const struct milgi_op_aead *a = &slot->op->u.aead;
    struct rte_mbuf *m = slot->own;
    uint8_t *to = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t len = 0, tail = slot->op->type == MILGI_OP_SEAL ? tail_len(a) : 0;

    for (unsigned i = 0; i < a->src_n; i++) {
        if (a->src[i].len > 0)
            memcpy(to + len, a->src[i].data, a->src[i].len);
        len += a->src[i].len;
    }
    count_copy(qp, len);
    memset(to + len, 0, tail);
    if (tail > 0)
        to[len] = a->inner_type;
    slot->len = len + tail;
    slot->copied = true;
    m->data_len = (uint16_t)slot->len;
    m->pkt_len = slot->len;
    sym->m_src = m;
    sym->m_dst = NULL;
    sym->aead.digest.data = to + slot->len;
    if (slot->op->type == MILGI_OP_OPEN)
        memcpy(to + slot->len, a->tag, DPDK_TAG);
}

static void copy_back(struct milgi_qp *qp, struct dpdk_slot *slot)
{
    struct milgi_op *op = slot->op;
    uint8_t *from = rte_pktmbuf_mtod(slot->own, uint8_t *);
    uint32_t len = slot->len + (op->type == MILGI_OP_SEAL ? DPDK_TAG : 0);

    if (op->status == MILGI_OP_OK) {
        memcpy(op->u.aead.dst, from, len);
        count_copy(qp, len);
    }
    milgi__wipe(from, slot->len + DPDK_TAG);
}

/* --- both ------------------------------------------------------------------------------------------------------- */

bool dpdk_record_begin(struct milgi_qp *qp, struct dpdk_slot *slot, struct milgi_op *op)
{
    struct rte_crypto_op *crypto = slot->crypto;
    struct rte_crypto_sym_op *sym = crypto->sym;
    const struct milgi_op_aead *a = &op->u.aead;

    slot->session = dpdk_session_get(qp->dpdk, &qp->sessions, op);
    if (!slot->session)
        return false;
    slot->op = op;
    slot->copied = false;
    memcpy(slot->iv, a->nonce, DPDK_IV);
    memset(slot->aad, 0, sizeof slot->aad); /* cryptodevs may read on to the end of a block */
    memcpy(slot->aad, a->aad, a->aad_len);
    memcpy(slot->tag, a->tag, DPDK_TAG);
    crypto->type = RTE_CRYPTO_OP_TYPE_SYMMETRIC;
    crypto->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
    crypto->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
    sym->session = slot->session->handle;
    (qp->dpdk->copies ? copy_record : show_record)(qp, slot, sym);
    sym->aead.data.offset = 0;
    sym->aead.data.length = slot->len;
    sym->aead.digest.phys_addr = (rte_iova_t)(uintptr_t)sym->aead.digest.data;
    sym->aead.aad.data = slot->aad;
    sym->aead.aad.phys_addr = (rte_iova_t)(uintptr_t)slot->aad;
    return true;
}

void dpdk_record_end(struct milgi_qp *qp, struct dpdk_slot *slot)
{
    struct milgi_op *op = slot->op;

    slot->session->in_flight--;
    switch (slot->crypto->status) {
    case RTE_CRYPTO_OP_STATUS_SUCCESS: op->status = MILGI_OP_OK; break;
    case RTE_CRYPTO_OP_STATUS_AUTH_FAILED:
        op->status = op->type == MILGI_OP_OPEN ? MILGI_OP_REJECTED : MILGI_OP_BROKEN;
        op->device_code = op->type == MILGI_OP_OPEN ? 0 : MILGI_CODE_DPDK_FAILED;
        break;
    case RTE_CRYPTO_OP_STATUS_INVALID_SESSION:
    case RTE_CRYPTO_OP_STATUS_INVALID_ARGS:
        op->status = MILGI_OP_BROKEN;
        op->device_code = MILGI_CODE_DPDK_REFUSED;
        break;
    default:
        op->status = MILGI_OP_BROKEN;
        op->device_code = MILGI_CODE_DPDK_FAILED;
    }
    if (slot->copied)
        copy_back(qp, slot);
    if (op->status != MILGI_OP_OK && op->type == MILGI_OP_OPEN)
        milgi__wipe(op->u.aead.dst, slot->len);
}
