/* SPDX-License-Identifier: Apache-2.0 */
/* An op: its names, how it is performed with the crypto library, which is the one place where the two meet, its end. */
#include "op/op.h"

#include <milgi/device.h>

#include <stdatomic.h>

#include "crypto/aead.h"
#include "crypto/kem.h"
#include "crypto/kex.h"
#include "crypto/x509.h"
#include "op/material.h"

#define INPUT_MAX (16384u + 2048u) /* a body of any version: RFC 5246 6.2.3 allows the longest */
#define TAG_LEN 16u
#define TOGETHER 16u /* record ops of a type that are done in one go */

/* Key exchange must not make every op larger: its shares lie outside. */
_Static_assert(sizeof(struct milgi_op_kex) <= sizeof(struct milgi_op_sign), "signatures are the largest");

const char *milgi_op_type_name(int type)
{
    static const char *const names[MILGI_OP_TYPES] = {
        [MILGI_OP_SEAL] = "SEAL",
        [MILGI_OP_OPEN] = "OPEN",
        [MILGI_OP_KEYGEN] = "KEYGEN",
        [MILGI_OP_DERIVE] = "DERIVE",
        [MILGI_OP_ENCAPS] = "ENCAPS",
        [MILGI_OP_DECAPS] = "DECAPS",
        [MILGI_OP_SIGN] = "SIGN",
        [MILGI_OP_VERIFY] = "VERIFY",
        [MILGI_OP_VERIFY_CHAIN] = "VERIFY_CHAIN",
    };
    return type >= 0 && type < MILGI_OP_TYPES ? names[type] : "unknown";
}

const char *milgi_op_status_name(int status)
{
    static const char *const names[] = {
        [MILGI_OP_PENDING] = "PENDING",
        [MILGI_OP_OK] = "OK",
        [MILGI_OP_REJECTED] = "REJECTED",
        [MILGI_OP_BROKEN] = "BROKEN",
        [MILGI_OP_CANCELLED] = "CANCELLED",
        [MILGI_OP_LOST] = "LOST",
    };
    return status >= 0 && status < (int)MILGI__COUNT(names) ? names[status] : "unknown";
}

uint64_t milgi__key_serial(void)
{
    static _Atomic uint64_t last;

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static int malformed(struct milgi_op *op)
{
    op->device_code = MILGI_CODE_MALFORMED;
    return MILGI__BROKEN;
}

static int no_key(struct milgi_op *op)
{
    op->device_code = MILGI_CODE_NO_KEY;
    return MILGI__BROKEN;
}

static int not_loaded(struct milgi_op *op, enum milgi_key_kind kind)
{
    bool here = op->key && op->key->kind == kind && milgi__key_is_here(op->key);
    return here ? MILGI_ENOMEM : no_key(op);
}

/* --- records ---------------------------------------------------------------------------------------------------- */

/* The input as pieces; false: it is no valid input. */
static bool pieces(const struct milgi_op_aead *a, struct milgi__piece out[MILGI_OP_SLICES], size_t *len)
{
    *len = 0;
    if (a->src_n > MILGI_OP_SLICES || a->aad_len > sizeof a->aad)
        return false;
    for (size_t i = 0; i < a->src_n; i++) {
        if (a->src[i].len > INPUT_MAX || (!a->src[i].data && a->src[i].len > 0))
            return false;
        out[i] = (struct milgi__piece){ a->src[i].data, a->src[i].len };
        *len += a->src[i].len;
    }
    return *len <= INPUT_MAX;
}

static struct milgi__aead_key aead_key(const struct milgi_key *key)
{
    return (struct milgi__aead_key){ key->serial, key->alg, key->raw_len, key->raw };
}

/* A record op as the crypto library wants it: 0, or why it cannot be one. |src| is what |r| points to. */
static int seal_of(struct milgi_op *op, struct milgi__piece src[MILGI_OP_SLICES], struct milgi__aead_record *r)
{
    struct milgi_op_aead *a = &op->u.aead;
    size_t len;

    if (!pieces(a, src, &len) || !a->dst)
        return malformed(op);
    if (a->in_place && (a->src_n != 1 || a->dst != src[0].data))
        return malformed(op);
    size_t tail = a->inner_type != 0 ? 1u + a->pad_len : 0;
    if (len + tail > INPUT_MAX || a->dst_len < len + tail + TAG_LEN)
        return malformed(op);
    if (!op->key || op->key->kind != MILGI_KEY_AEAD || op->key->alg != op->alg)
        return no_key(op);
    *r = (struct milgi__aead_record){
        aead_key(op->key), a->nonce, a->aad, a->aad_len, src, a->src_n, a->inner_type, a->pad_len, NULL, a->dst
    };
    return 0;
}

static int open_of(struct milgi_op *op, struct milgi__piece src[MILGI_OP_SLICES], struct milgi__aead_record *r)
{
    struct milgi_op_aead *a = &op->u.aead;
    size_t len;

    if (!pieces(a, src, &len))
        return malformed(op);
    if (!a->in_place && (!a->dst || a->dst_len < len))
        return malformed(op);
    if (!op->key || op->key->kind != MILGI_KEY_AEAD || op->key->alg != op->alg)
        return no_key(op);
    *r = (struct milgi__aead_record){
        aead_key(op->key), a->nonce, a->aad, a->aad_len, src, a->src_n, 0, 0, a->tag, a->in_place ? NULL : a->dst
    };
    return 0;
}

static int by_itself(struct milgi__crypto *cx, int type, const struct milgi__aead_record *r)
{
    if (type == MILGI_OP_SEAL)
        return milgi__aead_seal(
            cx, &r->key, r->nonce, r->aad, r->aad_len, r->src, r->src_n, r->type, r->pad, r->dst);
    return milgi__aead_open(cx, &r->key, r->nonce, r->aad, r->aad_len, r->src, r->src_n, r->tag, r->dst);
}

static int seal(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi__piece src[MILGI_OP_SLICES];
    struct milgi__aead_record r;

    int result = seal_of(op, src, &r);
    return result != 0 ? result : by_itself(cx, MILGI_OP_SEAL, &r);
}

static int open(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi__piece src[MILGI_OP_SLICES];
    struct milgi__aead_record r;

    int result = open_of(op, src, &r);
    return result != 0 ? result : by_itself(cx, MILGI_OP_OPEN, &r);
}

static int record(struct milgi__crypto *cx, int type, const struct milgi__aead_key *key, struct milgi_op_record *r)
{
    struct milgi__piece src = { r->src, r->len };
    if (type == MILGI_OP_SEAL)
        return milgi__aead_seal(
            cx, key, r->nonce, r->aad, r->aad_len, &src, 1, r->inner_type, r->pad_len, r->dst);
    return milgi__aead_open(cx, key, r->nonce, r->aad, r->aad_len, &src, 1, r->src + r->len,
        r->dst == r->src ? NULL : r->dst);
}

/* --- handshakes ------------------------------------------------------------------------------------------------- */

/* NULL: it is not of a KEM. */
static const struct milgi__group *kem_of(const struct milgi_op *op)
{
    const struct milgi__group *group = milgi__group(op->alg);

    return group && group->kind == MILGI__KEM ? group : NULL;
}

static int keygen(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi_op_kex *k = &op->u.kex;
    size_t secret_len = sizeof k->secret;
    size_t pub_len = milgi__kex_public_len(op->alg);

    if (!k->share.data || k->share.len < pub_len || k->seed_len == 0 ||
        k->seed_len != milgi__kex_seed_len(op->alg))
        return malformed(op);
    int result = kem_of(op)
        ? milgi__kem_keygen(cx, op->alg, k->seed, k->secret, &secret_len, k->share.data, &pub_len)
        : milgi__kex_keygen(cx, op->alg, k->seed, k->seed_len, k->secret, &secret_len, k->share.data, &pub_len);
    if (result != 0)
        return result;
    k->secret_len = (uint16_t)secret_len;
    k->pub_len = (uint16_t)pub_len;
    return 0;
}

static int derive(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi_op_kex *k = &op->u.kex;
    size_t len = sizeof k->shared;

    if (k->secret_len > sizeof k->secret || milgi__kex_public_len(op->alg) == 0)
        return malformed(op);
    if (k->share.len > MILGI_KEX_PUBLIC_MAX) /* the length is the peer's */
        return MILGI__BAD;
    if (!k->share.data)
        return malformed(op);
    int result = milgi__kex_derive(cx, op->alg, k->secret, k->secret_len, k->share.data, k->share.len, k->shared, &len);
    k->shared_len = result == 0 ? (uint16_t)len : 0;
    return result;
}

static int encaps(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi_op_kex *k = &op->u.kex;
    const struct milgi__group *group = kem_of(op);
    size_t len = sizeof k->shared;

    if (!group || k->seed_len != group->encaps_seed_len || !k->ciphertext.data ||
        k->ciphertext.len < group->server_len)
        return malformed(op);
    if (k->share.len != group->client_len) /* the length is the peer's */
        return MILGI__BAD;
    if (!k->share.data)
        return malformed(op);
    size_t ciphertext_len = k->ciphertext.len;
    int result = milgi__kem_encaps(cx, op->alg, k->share.data, k->share.len, k->seed, k->ciphertext.data,
        &ciphertext_len, k->shared, &len);
    k->pub_len = result == 0 ? (uint16_t)ciphertext_len : 0;
    k->shared_len = result == 0 ? (uint16_t)len : 0;
    return result;
}

static int decaps(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi_op_kex *k = &op->u.kex;
    const struct milgi__group *group = kem_of(op);
    size_t len = sizeof k->shared;

    if (!group || k->secret_len != group->seed_len)
        return malformed(op);
    if (k->share.len != group->server_len) /* the length is the peer's */
        return MILGI__BAD;
    if (!k->share.data)
        return malformed(op);
    int result = milgi__kem_decaps(cx, op->alg, k->secret, k->share.data, k->share.len, k->shared, &len);
    k->shared_len = result == 0 ? (uint16_t)len : 0;
    return result;
}

size_t milgi__sign_long(const struct milgi_op *op)
{
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);

    return scheme ? scheme->long_len : 0;
}

const uint8_t *milgi__signature(const struct milgi_op *op)
{
    const struct milgi_op_sign *s = &op->u.sign;
    size_t is_long = milgi__sign_long(op);

    if (s->sig_len == 0 || s->sig_len > (is_long != 0 ? s->blob.len : sizeof s->sig))
        return NULL;
    return is_long != 0 ? s->blob.data : s->sig;
}

bool milgi__signs_by_rsa(const struct milgi_op *op)
{
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);

    return !scheme || scheme->key == MILGI__KEY_RSA || scheme->key == MILGI__KEY_RSA_PSS;
}

void milgi__signature_check(struct milgi__crypto *cx, struct milgi_op *op)
{
    const struct milgi_credential *credential = op->key->loaded.credential;
    const struct milgi_op_sign *s = &op->u.sign;
    const uint8_t *input, *sig = milgi__signature(op);
    size_t len;
    int rv = MILGI__BROKEN;

    if (sig && milgi__sign_input(s, MILGI_OP_SIGN, &input, &len))
        rv = (s->hashed ? milgi__verify_hashed : s->any_curve ? milgi__verify_any_curve
                                                              : milgi__verify)(
            cx, credential->spki, credential->spki_len, op->alg, input, len, sig, s->sig_len);
    if (rv == 0)
        return;
    op->status = MILGI_OP_BROKEN;
    op->device_code = MILGI_CODE_BAD_SIGNATURE;
}

int milgi_op_to_sign(
    const struct milgi_op *op, uint8_t room[MILGI_OP_HASH_MAX], const uint8_t **data, size_t *len)
{
    const struct milgi_op_sign *s = &op->u.sign;
    const uint8_t *input;
    size_t input_len, hash_len;

    if (op->type != MILGI_OP_SIGN || !milgi__scheme(op->alg) ||
        !milgi__sign_input(s, MILGI_OP_SIGN, &input, &input_len))
        return MILGI_EINVAL;
    if (milgi__sign_hash(NULL, op->alg, input, input_len, room, &hash_len) != 0)
        return MILGI_EINVAL;
    *data = s->hashed || hash_len == 0 ? input : room;
    *len = s->hashed || hash_len == 0 ? input_len : hash_len;
    return s->hashed && (hash_len == 0 || hash_len != input_len) ? MILGI_EINVAL : 0;
}

static int sign(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    struct milgi_op_sign *s = &op->u.sign;
    size_t is_long = milgi__sign_long(op), len = is_long != 0 ? s->blob.len : sizeof s->sig, input_len;
    uint8_t *sig = is_long != 0 ? s->blob.data : s->sig;
    const uint8_t *input;

    if (!milgi__sign_input(s, MILGI_OP_SIGN, &input, &input_len))
        return malformed(op);
    if (!sig || len < is_long || (is_long != 0 && s->input_len == MILGI_SIGN_INPUT_IN_BLOB))
        return malformed(op);
    if (!loaded || !op->key || op->key->kind != MILGI_KEY_PRIVATE)
        return not_loaded(op, MILGI_KEY_PRIVATE);
    int result = (s->hashed ? milgi__pkey_sign_hashed
            : s->any_curve  ? milgi__pkey_sign_any_curve
                            : milgi__pkey_sign)(cx, loaded, op->alg, input, input_len, sig, &len);
    s->sig_len = result == 0 ? (uint16_t)len : 0;
    return result;
}

static int verify(struct milgi__crypto *cx, struct milgi_op *op)
{
    struct milgi_op_sign *s = &op->u.sign;
    const uint8_t *input;
    size_t input_len;

    if (!s->blob.data || s->spki_len > s->blob.len || s->sig_len > s->blob.len - s->spki_len ||
        !milgi__sign_input(s, MILGI_OP_VERIFY, &input, &input_len))
        return malformed(op);
    return (s->any_curve ? milgi__verify_any_curve : milgi__verify)(
        cx, s->blob.data, s->spki_len, op->alg, input, input_len, s->blob.data + s->spki_len, s->sig_len);
}

static int verify_chain(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    struct milgi_op_chain *c = &op->u.chain;

    if (!c->chain.data || c->name_len > sizeof c->name ||
        (c->purpose != MILGI_PURPOSE_SERVER && c->purpose != MILGI_PURPOSE_CLIENT))
        return malformed(op);
    if (!loaded || !op->key || op->key->kind != MILGI_KEY_TRUST)
        return not_loaded(op, MILGI_KEY_TRUST);
    struct milgi__chain_query query = { .chain = c->chain.data,
        .chain_len = c->chain.len,
        .now_s = c->now_s,
        .purpose = c->purpose,
        .name = c->name_len > 0 ? c->name : NULL,
        .name_len = c->name_len,
        .name_is_ip = c->name_is_ip != 0,
        .ocsp = c->ocsp_len > 0 ? c->chain.data + c->chain.len : NULL,
        .ocsp_len = c->ocsp_len,
        .staple = c->staple };
    struct milgi__chain_answer answer;
    int result = milgi__chain_verify(cx, loaded, &query, &answer);
    c->verdict = answer.verdict;
    c->alert = answer.alert;
    c->path_n = answer.path_n;
    memcpy(c->path, answer.path, sizeof c->path);
    return result;
}

/* --- all -------------------------------------------------------------------------------------------------------- */

static int perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    switch (op->type) {
    case MILGI_OP_SEAL: return seal(cx, op);
    case MILGI_OP_OPEN: return open(cx, op);
    case MILGI_OP_KEYGEN: return keygen(cx, op);
    case MILGI_OP_DERIVE: return derive(cx, op);
    case MILGI_OP_ENCAPS: return encaps(cx, op);
    case MILGI_OP_DECAPS: return decaps(cx, op);
    case MILGI_OP_SIGN: return sign(cx, op, loaded);
    case MILGI_OP_VERIFY: return verify(cx, op);
    case MILGI_OP_VERIFY_CHAIN: return verify_chain(cx, op, loaded);
    default: return malformed(op);
    }
}

/* What |result| means; |code| keeps what it says already. */
static uint8_t judge(int result, int32_t *code)
{
    if (result == 0)
        return MILGI_OP_OK;
    if (result == MILGI__BAD)
        return MILGI_OP_REJECTED;
    if (*code == 0)
        *code = result == MILGI_ENOMEM ? MILGI_CODE_NO_MEMORY : MILGI_CODE_CRYPTO;
    return MILGI_OP_BROKEN;
}

void milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    op->device_code = 0;
    int result = perform(cx, op, loaded);
    op->status = judge(result, &op->device_code);
}

static void ended(struct milgi_op_record *r, int result)
{
    r->device_code = 0;
    r->status = judge(result, &r->device_code);
}

void milgi__op_records(struct milgi__crypto *cx, int type, const struct milgi_key *key,
    struct milgi_op_record *records, unsigned n)
{
    struct milgi__aead_key aead = aead_key(key);
    int8_t verdicts[MILGI__AEAD_MANY];
    unsigned done = 0;
    while (done < n) {
        unsigned many = 0; /* one alone has a shorter way */
        if (n > 1)
            many = milgi__aead_many(cx, &aead, type == MILGI_OP_SEAL, records + done, n - done, verdicts);
        for (unsigned i = 0; i < many; i++)
            ended(&records[done++], verdicts[i]);
        if (many == 0) {
            ended(&records[done], record(cx, type, &aead, &records[done]));
            done++;
        }
    }
}

/* Ops of one type that are done together. */
struct together {
    int type;
    unsigned n;
    struct milgi_op *op[TOGETHER];
    struct milgi__aead_record record[TOGETHER];
    struct milgi__piece src[TOGETHER][MILGI_OP_SLICES];
};

static void finish(struct milgi__crypto *cx, struct together *t)
{
    int8_t verdicts[MILGI__AEAD_MANY] = { 0 };

    for (unsigned done = 0; done < t->n;) {
        unsigned many = milgi__aead_each(cx, t->type == MILGI_OP_SEAL, t->record + done, t->n - done, verdicts);
        if (many == 0) {
            verdicts[0] = (int8_t)by_itself(cx, t->type, &t->record[done]);
            many = 1;
        }
        for (unsigned i = 0; i < many && done < t->n; i++, done++)
            t->op[done]->status = judge(verdicts[i], &t->op[done]->device_code);
    }
    t->n = 0;
}

void milgi__op_perform_records(struct milgi__crypto *cx, struct milgi_op *const *ops, unsigned n)
{
    struct together seals, opens;

    seals.type = MILGI_OP_SEAL;
    opens.type = MILGI_OP_OPEN;
    seals.n = opens.n = 0;
    for (unsigned i = 0; i < n; i++) {
        struct milgi_op *op = ops[i];
        struct together *t = op->type == MILGI_OP_SEAL ? &seals : &opens;
        if (!milgi__op_is_short(op)) {
            milgi__op_perform(cx, op, NULL);
            continue;
        }
        if (t->n == TOGETHER)
            finish(cx, t);
        op->device_code = 0;
        int result = (t == &seals ? seal_of : open_of)(op, t->src[t->n], &t->record[t->n]);
        if (result == 0)
            t->op[t->n++] = op;
        else
            op->status = judge(result, &op->device_code);
    }
    finish(cx, &seals);
    finish(cx, &opens);
}

bool milgi__key_is_here(const struct milgi_key *key)
{
    return key->kind != MILGI_KEY_PRIVATE || key->loaded.credential->pkcs8;
}

static struct milgi__store *store_of(const struct milgi_trust *trust)
{
    struct milgi__store *store = milgi__store_new(trust->anchors, trust->anchors_len);

    if (!store || milgi__store_add_crls(store, trust->crl_check, trust->crls, trust->crls_len) == 0)
        return store;
    milgi__store_free(store);
    return NULL;
}

void *milgi__loaded_new(struct milgi__crypto *cx, const struct milgi_key *key)
{
    if (key->kind == MILGI_KEY_PRIVATE && key->loaded.credential && key->loaded.credential->pkcs8)
        return milgi__pkey_new(cx, key->loaded.credential->pkcs8, key->loaded.credential->pkcs8_len);
    if (key->kind == MILGI_KEY_TRUST && key->loaded.trust)
        return store_of(key->loaded.trust);
    return NULL;
}

void milgi__loaded_free(const struct milgi_key *key, void *loaded)
{
    if (!loaded)
        return;
    if (key->kind == MILGI_KEY_PRIVATE)
        milgi__pkey_free(loaded);
    else if (key->kind == MILGI_KEY_TRUST)
        milgi__store_free(loaded);
}

/* --- its end ------------------------------------------------------------------------------------------------------ */

static void drop(struct milgi_chunk **chunk)
{
    if (*chunk)
        milgi_chunk_unref(*chunk);
    *chunk = NULL;
}

void milgi__op_clear(struct milgi_op *op)
{
    switch (op->type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN:
        drop(&op->u.aead.dst_chunk);
        for (size_t i = 0; i < op->u.aead.src_n && i < MILGI_OP_SLICES; i++)
            drop(&op->u.aead.src[i].chunk);
        op->u.aead.src_n = 0;
        op->u.aead.dst = NULL;
        memset(op->u.aead.nonce, 0, sizeof op->u.aead.nonce); /* of the first record it is the key's own IV */
        break;
    case MILGI_OP_KEYGEN:
    case MILGI_OP_DERIVE:
    case MILGI_OP_ENCAPS:
    case MILGI_OP_DECAPS:
        drop(&op->u.kex.share.chunk);
        drop(&op->u.kex.ciphertext.chunk);
        milgi__wipe(&op->u.kex, sizeof op->u.kex);
        break;
    case MILGI_OP_SIGN:
        if (op->u.sign.input_len == MILGI_SIGN_INPUT_IN_BLOB || milgi__sign_long(op) != 0)
            drop(&op->u.sign.blob.chunk);
        break;
    case MILGI_OP_VERIFY:
        drop(&op->u.sign.blob.chunk);
        break;
    case MILGI_OP_VERIFY_CHAIN:
        drop(&op->u.chain.chain.chunk);
        break;
    default:
        break;
    }
}

struct milgi__failure milgi__op_failure(int type, int status, int device_code)
{
    bool memory = device_code == MILGI_CODE_NO_MEMORY;
    const char *detail = memory ? "not enough memory for a crypto operation" : "a crypto device failed";
    if (status == MILGI_OP_LOST)
        detail = "a crypto device did not answer in time";
    return (struct milgi__failure){
        .error = memory ? MILGI_ENOMEM : MILGI_EDEVICE,
        .alert = MILGI_ALERT_INTERNAL_ERROR,
        .op = (int8_t)type,
        .device_code = device_code,
        .detail = detail,
    };
}
