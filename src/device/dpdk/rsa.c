/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RSA signatures. The cryptodev raises a number to the private exponent; the number is made by the crypto library: that
 * of RSA-PSS, which few drivers know, as that of PKCS #1 v1.5. So the padding is none, for all of them.
 */
#include "device/dpdk/dpdk.h"

#include <rte_version.h>

#include "op/material.h"

struct dpdk_key {
    struct milgi__pkey *pkey; /* for the messages */
    void *session;            /* NULL: no RSA key */
    enum milgi__key_type type;
    uint16_t len; /* of its modulus */
};

enum scheme_kind {
    SCHEME_OTHER,
    SCHEME_OF_RSA,     /* of keys for rsaEncryption */
    SCHEME_OF_RSA_PSS, /* of keys for id-RSASSA-PSS */
};

static enum scheme_kind kind_of(uint16_t scheme)
{
    switch (scheme) {
    case MILGI_SIG_RSA_PKCS1_SHA256:
    case MILGI_SIG_RSA_PKCS1_SHA384:
    case MILGI_SIG_RSA_PKCS1_SHA512:
    case MILGI_SIG_RSA_PSS_RSAE_SHA256:
    case MILGI_SIG_RSA_PSS_RSAE_SHA384:
    case MILGI_SIG_RSA_PSS_RSAE_SHA512: return SCHEME_OF_RSA;
    case MILGI_SIG_RSA_PSS_PSS_SHA256:
    case MILGI_SIG_RSA_PSS_PSS_SHA384:
    case MILGI_SIG_RSA_PSS_PSS_SHA512: return SCHEME_OF_RSA_PSS;
    default: return SCHEME_OTHER;
    }
}

bool dpdk_rsa_scheme(uint16_t scheme)
{
    return kind_of(scheme) != SCHEME_OTHER;
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

static bool takes_modulus(const struct dpdk_device *dpdk, unsigned len)
{
    if (len > DPDK_RSA_MAX || len < dpdk->rsa_min || (dpdk->rsa_max && len > dpdk->rsa_max))
        return false;
    return !dpdk->rsa_step || (len - dpdk->rsa_min) % dpdk->rsa_step == 0;
}

static rte_crypto_param number(uint8_t *bytes, size_t len)
{
    return (rte_crypto_param){ .data = bytes, .iova = (rte_iova_t)(uintptr_t)bytes, .length = len };
}

/* Where it is said that the cryptodev pads nothing: since DPDK 24.11 of a session, before of each op. */
#if RTE_VERSION >= RTE_VERSION_NUM(24, 11, 0, 0)
static void pad_nothing_session(struct rte_crypto_rsa_xform *xform)
{
    xform->padding.type = RTE_CRYPTO_RSA_PADDING_NONE;
}
static void pad_nothing_op(struct rte_crypto_rsa_op_param *rsa)
{
    (void)rsa;
}
#else
static void pad_nothing_session(struct rte_crypto_rsa_xform *xform)
{
    (void)xform;
}
static void pad_nothing_op(struct rte_crypto_rsa_op_param *rsa)
{
    rsa->padding.type = RTE_CRYPTO_RSA_PADDING_NONE;
}
#endif

static void *make_session(struct dpdk_device *dpdk, struct milgi__raw_key *raw, struct milgi__raw_modulus *pub)
{
    size_t len = raw->bits / 8, half = len / 2, zeros = 0;
    void *session = NULL;

    while (zeros + 1 < sizeof pub->e && pub->e[zeros] == 0)
        zeros++;
    struct rte_crypto_asym_xform xform = {
        .xform_type = RTE_CRYPTO_ASYM_XFORM_RSA,
        .rsa = {
            .n = number(pub->n, len),
            .e = number(pub->e + zeros, sizeof pub->e - zeros),
            .key_type = RTE_RSA_KEY_TYPE_QT,
            .qt = {
                .p = number(raw->u.rsa.p, half),
                .q = number(raw->u.rsa.q, half),
                .dP = number(raw->u.rsa.dp, half),
                .dQ = number(raw->u.rsa.dq, half),
                .qInv = number(raw->u.rsa.qinv, half),
            },
        },
    };
    pad_nothing_session(&xform.rsa);
    if (rte_cryptodev_asym_session_create(dpdk->id, &xform, dpdk->asym_sessions, &session) != 0)
        return NULL;
    return session;
}

/* false: it is an RSA key, and the cryptodev cannot have it. */
static bool load(struct dpdk_device *dpdk, struct dpdk_key *mine)
{
    struct milgi__raw_key *raw = milgi__alloc(sizeof *raw);
    struct milgi__raw_modulus pub;
    bool done = raw != NULL;

    if (raw && dpdk->host->raw_modulus(mine->pkey, &pub) == 0) {
        done = dpdk->host->raw_private(mine->pkey, raw) == 0 && takes_modulus(dpdk, raw->bits / 8);
        if (done)
            mine->session = make_session(dpdk, raw, &pub);
        done = mine->session != NULL;
        mine->type = raw->type;
        mine->len = (uint16_t)(raw->bits / 8);
    }
    milgi__free_wiped(raw, sizeof *raw);
    return done;
}

struct dpdk_key *dpdk_key_new(struct milgi_qp *qp, const struct milgi_key *key)
{
    const struct milgi_credential *credential = key->loaded.credential;
    struct dpdk_device *dpdk = qp->dpdk;

    if (key->kind != MILGI_KEY_PRIVATE || !credential || !credential->pkcs8)
        return NULL; /* it is not in this process, or of no use here */
    struct dpdk_key *mine = milgi__alloc(sizeof *mine);
    if (!mine)
        return NULL;
    mine->pkey = dpdk->host->pkey_new(qp->cx, credential->pkcs8, credential->pkcs8_len);
    if (mine->pkey && load(dpdk, mine))
        return mine;
    dpdk_key_free(qp, mine);
    return NULL;
}

void dpdk_key_free(struct milgi_qp *qp, struct dpdk_key *key)
{
    if (!key)
        return;
    if (key->session)
        (void)rte_cryptodev_asym_session_free(qp->dpdk->id, key->session);
    if (key->pkey)
        qp->dpdk->host->pkey_free(key->pkey);
    milgi__free(key);
}

/* --- signatures ------------------------------------------------------------------------------------------------- */

/* NULL: it is not loaded here, or does not go with the scheme. */
static struct dpdk_key *key_of(const struct milgi_op *op)
{
    struct dpdk_key *key = NULL;

    if (op->key && op->key->kind == MILGI_KEY_PRIVATE && op->dev < MILGI_DEVICES_MAX)
        key = op->key->loaded.dev[op->dev];
    if (!key || !key->session)
        return NULL;
    bool pss = key->type == MILGI__KEY_RSA_PSS;
    return kind_of(op->alg) == (pss ? SCHEME_OF_RSA_PSS : SCHEME_OF_RSA) ? key : NULL;
}

int dpdk_rsa_begin(struct milgi_qp *qp, struct dpdk_slot *slot, struct milgi_op *op)
{
    struct dpdk_key *key = key_of(op);
    struct rte_crypto_op *crypto = slot->crypto;
    struct rte_crypto_rsa_op_param *rsa = &crypto->asym->rsa;
    const uint8_t *input;
    size_t len;

    if (!milgi__sign_input(&op->u.sign, MILGI_OP_SIGN, &input, &len))
        return MILGI_CODE_MALFORMED;
    if (!key)
        return MILGI_CODE_NO_KEY;
    if (qp->dpdk->host->raw_message(key->pkey, op->alg, input, len, slot->rsa) != 0)
        return MILGI_CODE_CRYPTO;
    slot->op = op;
    slot->session = NULL;
    slot->rsa_len = key->len;
    memset(slot->rsa + DPDK_RSA_MAX, 0, DPDK_RSA_MAX);
    crypto->type = RTE_CRYPTO_OP_TYPE_ASYMMETRIC;
    crypto->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
    crypto->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
    memset(crypto->asym, 0, sizeof *crypto->asym);
    crypto->asym->session = key->session;
    rsa->op_type = RTE_CRYPTO_ASYM_OP_SIGN;
    pad_nothing_op(rsa);
    rsa->message.data = slot->rsa;
    rsa->message.iova = (rte_iova_t)(uintptr_t)slot->rsa;
    rsa->message.length = key->len;
    rsa->sign.data = slot->rsa + DPDK_RSA_MAX;
    rsa->sign.iova = (rte_iova_t)(uintptr_t)(slot->rsa + DPDK_RSA_MAX);
    rsa->sign.length = key->len;
    return 0;
}

void dpdk_rsa_end(struct milgi_qp *qp, struct dpdk_slot *slot)
{
    struct milgi_op *op = slot->op;
    const struct rte_crypto_rsa_op_param *rsa = &slot->crypto->asym->rsa;

    (void)qp;
    if (slot->crypto->status == RTE_CRYPTO_OP_STATUS_SUCCESS && rsa->sign.length == slot->rsa_len) {
        memcpy(op->u.sign.sig, slot->rsa + DPDK_RSA_MAX, slot->rsa_len);
        op->u.sign.sig_len = slot->rsa_len;
        op->status = MILGI_OP_OK;
        return;
    }
    op->status = MILGI_OP_BROKEN;
    op->device_code = MILGI_CODE_DPDK_FAILED;
}
