/* SPDX-License-Identifier: Apache-2.0 */
/* Ops as a device performs them; tests/vectors has those with good and bad inputs of every algorithm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include <milgi/device.h>

#include "crypto/aead.h"
#include "crypto/cert_list.h"
#include "crypto/kernel/kernel.h"
#include "crypto/kex.h"
#include "crypto/x509.h"
#include "identity.h"
#include "op/material.h"
#include "op/op.h"

static struct milgi__pem_fault fault;

static int open_crypto(void **state)
{
    *state = milgi__crypto_new();
    return *state ? 0 : -1;
}

static int close_crypto(void **state)
{
    milgi__crypto_free(*state);
    return 0;
}

static struct milgi_key aead_key(void)
{
    return (struct milgi_key){ .serial = milgi__key_serial(),
        .alg = MILGI_SUITE_AES_128_GCM_SHA256,
        .kind = MILGI_KEY_AEAD,
        .raw_len = 16 };
}

static struct milgi_op record_op(struct milgi_key *key, uint8_t type, uint8_t *src, uint32_t len, uint8_t *dst)
{
    struct milgi_op op = { .type = type, .alg = key->alg, .key = key };

    op.u.aead.src_n = 1;
    op.u.aead.src[0] = (struct milgi_slice){ NULL, src, len };
    op.u.aead.dst = dst;
    op.u.aead.dst_len = len + 17 + 16;
    op.u.aead.inner_type = type == MILGI_OP_SEAL ? 23 : 0;
    return op;
}

static void a_sealed_record_opens(void **state)
{
    static uint8_t plain[100] = "plain", sealed[200], out[200];
    struct milgi_key key = aead_key();
    struct milgi_op op = record_op(&key, MILGI_OP_SEAL, plain, sizeof plain, sealed);

    op.u.aead.pad_len = 7;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_OK);
    op = record_op(&key, MILGI_OP_OPEN, sealed, 108, out);
    memcpy(op.u.aead.tag, sealed + 108, 16);
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_OK);
    assert_memory_equal(out, plain, sizeof plain);
    assert_int_equal(out[100], 23);
    assert_int_equal(out[101] | out[107], 0);
    op.u.aead.tag[0] ^= 1;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_REJECTED);
    assert_int_equal(out[0], 0);
}

/* Those that have no op: the same bytes, in place and aside; one that is bad harms no other. */
static void records_without_ops_are_as_those_with_them(void **state)
{
    static uint8_t plain[100] = "plain", sealed[3][200], out[3][200];
    struct milgi_key key = aead_key();
    struct milgi_op_record record[3];
    struct milgi_op op = record_op(&key, MILGI_OP_SEAL, plain, sizeof plain, out[0]);

    op.u.aead.pad_len = 7;
    milgi__op_perform(*state, &op, NULL);
    for (int i = 0; i < 3; i++) {
        memcpy(sealed[i], plain, sizeof plain);
        record[i] = (struct milgi_op_record){ .inner_type = 23, .pad_len = 7, .len = sizeof plain };
        record[i].src = i == 0 ? plain : sealed[i];
        record[i].dst = sealed[i];
    }
    milgi__op_records(*state, MILGI_OP_SEAL, &key, record, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(record[i].status, MILGI_OP_OK);
        assert_memory_equal(sealed[i], out[0], 108 + 16);
        record[i] = (struct milgi_op_record){ .len = 108, .src = sealed[i], .dst = i == 0 ? out[2] : sealed[i] };
    }
    sealed[1][108] ^= 1;
    milgi__op_records(*state, MILGI_OP_OPEN, &key, record, 3);
    assert_int_equal(record[0].status, MILGI_OP_OK);
    assert_memory_equal(out[2], plain, sizeof plain);
    assert_int_equal(record[1].status, MILGI_OP_REJECTED);
    for (int i = 0; i < 108; i++)
        assert_int_equal(sealed[1][i], 0);
    assert_int_equal(record[2].status, MILGI_OP_OK);
    assert_memory_equal(sealed[2], plain, sizeof plain);
    assert_int_equal(sealed[2][100], 23);
    key.alg = 0x1399;
    milgi__op_records(*state, MILGI_OP_SEAL, &key, record, 1);
    assert_int_equal(record[0].status, MILGI_OP_BROKEN);
    assert_int_equal(record[0].device_code, MILGI_CODE_CRYPTO);
}

/* One by one, what makes a record op senseless. */
static void spoil_record(struct milgi_op *op, unsigned how)
{
    static struct milgi_key private_key = { .serial = 1, .kind = MILGI_KEY_PRIVATE };

    switch (how) {
    case 0: op->u.aead.src_n = MILGI_OP_SLICES + 1; break;
    case 1: op->u.aead.src[0].data = NULL; break;
    case 2: op->u.aead.src[0].len = 16384 + 2049; break;
    case 3: op->u.aead.dst = NULL; break;
    case 4: op->u.aead.dst_len = 10; break;
    case 5: op->u.aead.aad_len = 14; break;
    case 6: op->key = NULL; break;
    case 7: op->key = &private_key; break;
    case 8: op->alg = MILGI_SUITE_AES_256_GCM_SHA384; break;
    case 9:
        op->u.aead.in_place = 1;
        op->u.aead.src_n = op->type == MILGI_OP_SEAL ? 1 : 5;
        break;
    case 10: /* each piece is of a good length, all together are not */
        op->u.aead.src_n = 2;
        op->u.aead.src[0].len = 16384;
        op->u.aead.src[1] = (struct milgi_slice){ NULL, op->u.aead.src[0].data, 2049 };
        op->u.aead.dst_len = 40000;
        break;
    case 11: op->u.aead.dst_len = op->type == MILGI_OP_SEAL ? 100 + 1 + 15 : 99; break;
    default: op->type = 200; break;
    }
}

/* --- many at once ------------------------------------------------------------------------------------------------- */

#define MANY 40 /* more than are done together */
#define LONG 700
#define LONGEST (LONG + 1 + 40 + 16)

static uint32_t chance(uint32_t n)
{
    static uint64_t state = 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

struct many {
    struct milgi_op_record record[MANY];
    uint8_t src[MANY][LONGEST], dst[MANY][LONGEST], expected[MANY][LONGEST];
};

/* A record of any length and shape, with its bytes where |in_place| wants them. */
static void any_record(struct many *m, unsigned i, bool in_place)
{
    struct milgi_op_record *r = &m->record[i];

    *r = (struct milgi_op_record){ .aad_len = chance(2) ? 5 : 13, .device_code = 99, .src = m->src[i] };
    r->len = chance(4) ? chance(100) : chance(LONG + 1);
    r->inner_type = chance(4) ? 23 : 0;
    r->pad_len = (uint16_t)(chance(3) || !r->inner_type ? 0 : chance(41));
    r->dst = in_place ? m->src[i] : m->dst[i];
    for (unsigned k = 0; k < sizeof r->nonce; k++)
        r->nonce[k] = (uint8_t)chance(256);
    for (unsigned k = 0; k < r->aad_len; k++)
        r->aad[k] = (uint8_t)chance(256);
    for (unsigned k = 0; k < r->len; k++)
        m->src[i][k] = (uint8_t)chance(256);
}

static uint32_t length_of(const struct milgi_op_record *r)
{
    return r->len + (r->inner_type ? 1u + r->pad_len : 0);
}

/* What each becomes by itself; then all at once, opened with some of them spoilt. */
static void check_many(struct milgi__crypto *cx, struct milgi_key *key, struct many *m, unsigned n)
{
    struct milgi__aead_key aead = { key->serial, key->alg, key->raw_len, key->raw };
    bool in_place = chance(2);
    static uint8_t plain[MANY][LONGEST], zeros[LONGEST];

    for (unsigned i = 0; i < n; i++) {
        struct milgi_op_record *r = &m->record[i];
        any_record(m, i, in_place);
        memset(plain[i], 0, LONGEST);
        memcpy(plain[i], r->src, r->len);
        plain[i][r->len] = r->inner_type;
        struct milgi__piece src = { r->src, r->len };
        assert_int_equal(milgi__aead_seal(cx, &aead, r->nonce, r->aad, r->aad_len, &src, 1, r->inner_type,
                             r->pad_len, m->expected[i]),
            0);
    }
    milgi__op_records(cx, MILGI_OP_SEAL, key, m->record, n);
    unsigned bad = chance(3) ? chance(n) : n;
    for (unsigned i = 0; i < n; i++) {
        struct milgi_op_record *r = &m->record[i];
        assert_int_equal(r->status, MILGI_OP_OK);
        assert_int_equal(r->device_code, 0);
        assert_memory_equal(r->dst, m->expected[i], length_of(r) + 16);
        memcpy(m->src[i], r->dst, length_of(r) + 16);
        r->len = length_of(r);
        if (i == bad)
            m->src[i][chance(r->len + 16)] ^= (uint8_t)(1u << chance(8));
    }
    milgi__op_records(cx, MILGI_OP_OPEN, key, m->record, n);
    for (unsigned i = 0; i < n; i++) {
        const struct milgi_op_record *r = &m->record[i];
        assert_int_equal(r->status, i == bad ? MILGI_OP_REJECTED : MILGI_OP_OK);
        assert_int_equal(r->device_code, 0);
        assert_memory_equal(r->dst, i == bad ? zeros : plain[i], r->len);
    }
}

/* Those that a kernel does together: any number of any lengths, one bad among them. */
static void many_records_at_once_are_as_each_by_itself(void **state)
{
    static const struct {
        uint16_t suite;
        uint8_t len;
    } suites[] = { { MILGI_SUITE_AES_128_GCM_SHA256, 16 }, { MILGI_SUITE_AES_256_GCM_SHA384, 32 },
        { MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32 } };
    static struct many many;

    for (unsigned round = 0; round < 30; round++) {
        for (unsigned n = 1; n <= MANY; n++) {
            struct milgi_key key = aead_key();
            unsigned i = chance(MILGI__COUNT(suites));
            key.alg = suites[i].suite;
            key.raw_len = suites[i].len;
            for (unsigned k = 0; k < key.raw_len; k++)
                key.raw[k] = (uint8_t)chance(256);
            check_many(*state, &key, &many, n);
        }
    }
}

/* --- many at once, each of its own key ---------------------------------------------------------------------------- */

#define KEYS 150 /* more than a thread keeps expanded, so that some push out others */

struct mixed {
    struct milgi_key key[KEYS];
    struct milgi_op op[MANY];
    struct milgi_op_record record[MANY];
    uint8_t status[MANY];
    uint8_t src[MANY][LONGEST], dst[MANY][LONGEST], expected[MANY][LONGEST];
};

static void mixed_keys(struct mixed *m)
{
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_128_GCM_SHA256,
        MILGI_SUITE_AES_256_GCM_SHA384, MILGI_SUITE_CHACHA20_POLY1305_SHA256 };

    for (unsigned i = 0; i < KEYS; i++) {
        m->key[i] = aead_key();
        m->key[i].alg = suites[chance(MILGI__COUNT(suites))];
        m->key[i].raw_len = m->key[i].alg == MILGI_SUITE_AES_128_GCM_SHA256 ? 16 : 32;
        for (unsigned k = 0; k < m->key[i].raw_len; k++)
            m->key[i].raw[k] = (uint8_t)chance(256);
    }
}

/* An op with what it is to become, which |library| says. */
static void mixed_op(struct milgi__crypto *library, struct mixed *m, unsigned i)
{
    struct milgi_op_record *r = &m->record[i];
    struct milgi_key *key = &m->key[chance(KEYS)];
    struct milgi__aead_key aead = { key->serial, key->alg, key->raw_len, key->raw };
    bool open = chance(2), in_place = chance(2);
    uint8_t plain[LONGEST] = { 0 };

    r->src = m->src[i];
    r->len = chance(3) ? chance(130) : chance(LONG);
    for (unsigned k = 0; k < r->len; k++)
        m->src[i][k] = plain[k] = (uint8_t)chance(256);
    struct milgi__piece src = { r->src, r->len };
    r->nonce[0] = (uint8_t)chance(256);
    assert_int_equal(
        milgi__aead_seal(library, &aead, r->nonce, r->aad, 5, &src, 1, 23, 0, m->expected[i]), 0);
    struct milgi_op *op = &m->op[i];
    *op = record_op(key, open ? MILGI_OP_OPEN : MILGI_OP_SEAL, m->src[i], r->len + (open ? 1 : 0), m->dst[i]);
    memcpy(op->u.aead.nonce, r->nonce, sizeof r->nonce);
    op->u.aead.aad_len = 5;
    op->u.aead.in_place = in_place;
    op->device_code = 99;
    m->status[i] = MILGI_OP_OK;
    if (in_place)
        op->u.aead.dst = open ? NULL : m->src[i];
    if (!open)
        return;
    memcpy(m->src[i], m->expected[i], r->len + 1);
    memcpy(op->u.aead.tag, m->expected[i] + r->len + 1, 16);
    plain[r->len] = 23;
    memcpy(m->expected[i], plain, r->len + 1);
    if (chance(8))
        return;
    op->u.aead.tag[chance(16)] ^= (uint8_t)(1u << chance(8));
    memset(m->expected[i], 0, r->len + 1);
    m->status[i] = MILGI_OP_REJECTED;
}

/* Of whatever is between them: verdicts and bytes are those that each has by itself, in the crypto library. */
static void ops_of_many_keys_at_once_are_as_each_by_itself(void **state)
{
    static const unsigned senseless[] = { 0, 5, 6, 7 }; /* whatever the op is */
    static struct mixed m;
    struct milgi_op *ops[MANY];

    milgi__kernel_off = true;
    struct milgi__crypto *library = milgi__crypto_new();
    milgi__kernel_off = false;
    assert_non_null(library);
    mixed_keys(&m);
    for (unsigned round = 0; round < 600; round++) {
        unsigned n = 1 + chance(MANY);
        for (unsigned i = 0; i < n; i++) {
            ops[i] = &m.op[i];
            mixed_op(library, &m, i);
            if (chance(30) == 0) {
                m.status[i] = MILGI_OP_BROKEN;
                spoil_record(ops[i], senseless[chance(MILGI__COUNT(senseless))]);
            }
        }
        milgi__op_perform_records(*state, ops, n);
        for (unsigned i = 0; i < n; i++) {
            const struct milgi_op_aead *a = &m.op[i].u.aead;
            const uint8_t *out = a->in_place ? m.src[i] : m.dst[i];
            size_t len = m.record[i].len + (m.op[i].type == MILGI_OP_SEAL ? 17 : 1);
            assert_int_equal(m.op[i].status, m.status[i]);
            assert_int_equal(m.op[i].device_code != 0, m.status[i] == MILGI_OP_BROKEN);
            if (m.status[i] != MILGI_OP_BROKEN)
                assert_memory_equal(out, m.expected[i], len);
        }
    }
    milgi__crypto_free(library);
}

static void a_senseless_record_op_is_broken(void **state)
{
    static uint8_t src[40000], dst[40000];
    struct milgi_key key = aead_key();

    for (unsigned how = 0; how <= 12; how++) {
        for (uint8_t type = MILGI_OP_SEAL; type <= MILGI_OP_OPEN; type++) {
            struct milgi_op op = record_op(&key, type, src, 100, dst);
            spoil_record(&op, how);
            milgi__op_perform(*state, &op, NULL);
            if (op.status != MILGI_OP_BROKEN)
                fail_msg("case %u of type %u", how, type);
            assert_true(op.device_code != 0);
        }
    }
}

static void a_key_exchange_of_two_ops_agrees(void **state)
{
    struct milgi_op a = { .type = MILGI_OP_KEYGEN, .alg = MILGI_GROUP_SECP256R1 };
    static uint8_t shares[2][65];
    a.u.kex.seed_len = 40;
    a.u.kex.share = (struct milgi_slice){ NULL, shares[0], sizeof shares[0] };
    struct milgi_op b = a;
    a.u.kex.seed[3] = 1;
    b.u.kex.seed[3] = 2;
    b.u.kex.share.data = shares[1];

    milgi__op_perform(*state, &a, NULL);
    milgi__op_perform(*state, &b, NULL);
    assert_int_equal(a.status, MILGI_OP_OK);
    assert_int_equal(a.u.kex.pub_len, 65);
    struct milgi_op *ops[] = { &a, &b };
    for (unsigned i = 0; i < 2; i++) {
        ops[i]->type = MILGI_OP_DERIVE;
        ops[i]->u.kex.share.data = shares[1 - i];
    }
    milgi__op_perform(*state, &a, NULL);
    milgi__op_perform(*state, &b, NULL);
    assert_int_equal(a.status, MILGI_OP_OK);
    assert_int_equal(a.u.kex.shared_len, 32);
    assert_memory_equal(a.u.kex.shared, b.u.kex.shared, 32);
}

static void a_senseless_key_exchange_is_broken_and_a_bad_share_rejected(void **state)
{
    struct milgi_op op = { .type = MILGI_OP_KEYGEN, .alg = MILGI_GROUP_X25519 };

    static uint8_t share[64];
    op.u.kex.seed_len = 32;
    milgi__op_perform(*state, &op, NULL); /* nowhere to write to */
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.u.kex.share = (struct milgi_slice){ NULL, share, 31 }; /* too little room */
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.u.kex.share.len = sizeof share;
    op.u.kex.seed_len = 31;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.alg = 0x6399;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.type = MILGI_OP_DERIVE;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.alg = MILGI_GROUP_X25519;
    op.u.kex.secret_len = 200;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.u.kex.secret_len = 32;
    op.u.kex.share.len = 33;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_REJECTED);
    op.u.kex.share.len = 60000;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_REJECTED);
}

/* --- what needs a loaded key -------------------------------------------------------------------------------------- */

struct signer {
    struct identity *identity;
    struct milgi_credential credential;
    struct milgi_key key;
    void *loaded;
};

static struct signer *signer_new(struct milgi__crypto *cx)
{
    struct signer *s = milgi__alloc(sizeof *s);

    s->identity = identity_root(IDENTITY_P256, "a.test");
    struct milgi__private_key key;
    assert_int_equal(
        milgi__pem_private_key(s->identity->key_pem, strlen(s->identity->key_pem), NULL, 0, &key, &fault), 0);
    s->credential.pkcs8 = key.pkcs8;
    s->credential.pkcs8_len = key.pkcs8_len;
    s->credential.spki = key.spki;
    s->credential.spki_len = key.spki_len;
    s->credential.type = key.type;
    s->credential.bits = key.bits;
    s->key = (struct milgi_key){ .serial = 1, .kind = MILGI_KEY_PRIVATE, .loaded.credential = &s->credential };
    s->loaded = milgi__loaded_new(cx, &s->key);
    assert_non_null(s->loaded);
    return s;
}

static void signer_free(struct signer *s)
{
    milgi__loaded_free(&s->key, s->loaded);
    milgi__free_wiped(s->credential.pkcs8, s->credential.pkcs8_len);
    milgi__free(s->credential.spki);
    identity_free(s->identity);
    milgi__free(s);
}

static void a_signature_of_one_op_is_verified_by_another(void **state)
{
    struct signer *s = signer_new(*state);
    struct milgi_op op = { .type = MILGI_OP_SIGN, .alg = MILGI_SIG_ECDSA_SECP256R1_SHA256, .key = &s->key };
    uint8_t blob[600];

    op.u.sign.input_len = 130;
    milgi__op_perform(*state, &op, s->loaded);
    assert_int_equal(op.status, MILGI_OP_OK);
    assert_true(op.u.sign.sig_len > 60);
    memcpy(blob, s->credential.spki, s->credential.spki_len);
    memcpy(blob + s->credential.spki_len, op.u.sign.sig, op.u.sign.sig_len);
    op.type = MILGI_OP_VERIFY;
    op.key = NULL;
    op.u.sign.spki_len = (uint32_t)s->credential.spki_len;
    op.u.sign.blob = (struct milgi_slice){ NULL, blob, (uint32_t)s->credential.spki_len + op.u.sign.sig_len };
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_OK);
    op.u.sign.input[129] = 1;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_REJECTED);

    op.u.sign.blob.len--; /* shorter than it says */
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.u.sign.blob.data = NULL;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    signer_free(s);
}

static void signing_without_a_fitting_key_is_broken(void **state)
{
    struct signer *s = signer_new(*state);
    struct milgi_op op = { .type = MILGI_OP_SIGN, .alg = MILGI_SIG_ECDSA_SECP256R1_SHA256, .key = &s->key };
    struct milgi_key aead = aead_key();

    op.u.sign.input_len = 130;
    milgi__op_perform(*state, &op, NULL); /* not loaded */
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.alg = MILGI_SIG_ED25519;
    milgi__op_perform(*state, &op, s->loaded);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    assert_int_equal(op.u.sign.sig_len, 0);
    op.alg = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    op.key = &aead;
    milgi__op_perform(*state, &op, s->loaded);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    op.key = &s->key;
    op.u.sign.input_len = MILGI_SIGN_INPUT_MAX + 1;
    milgi__op_perform(*state, &op, s->loaded);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    signer_free(s);
}

static void a_key_whose_bytes_are_elsewhere_is_not_loaded(void **state)
{
    struct milgi_credential elsewhere = { .type = MILGI__KEY_P256 };
    struct milgi_key key = { .serial = 1, .kind = MILGI_KEY_PRIVATE, .loaded.credential = &elsewhere };

    assert_null(milgi__loaded_new(*state, &key));
    key = aead_key();
    assert_null(milgi__loaded_new(*state, &key));
    milgi__loaded_free(&key, NULL);
}

static void a_chain_is_verified_and_the_verdict_told(void **state)
{
    struct identity *root = identity_root(IDENTITY_P256, "root");
    struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:a.test");
    struct milgi__cert_list anchors = { .data = NULL }, chain = { .data = NULL };
    assert_int_equal(milgi__cert_list_add_pem(&anchors, root->cert_pem, strlen(root->cert_pem), &fault), 0);
    assert_int_equal(milgi__cert_list_add_pem(&chain, leaf->chain_pem, strlen(leaf->chain_pem), &fault), 0);
    struct milgi_trust trust = { .anchors = anchors.data, .anchors_len = anchors.len };
    struct milgi_key key = { .serial = 1, .kind = MILGI_KEY_TRUST, .loaded.trust = &trust };
    void *loaded = milgi__loaded_new(*state, &key);
    struct milgi_op op = { .type = MILGI_OP_VERIFY_CHAIN, .key = &key };
    struct milgi_op_chain *c = &op.u.chain;
    c->chain = (struct milgi_slice){ NULL, chain.data, (uint32_t)chain.len };
    c->now_s = time(NULL);
    c->purpose = MILGI_PURPOSE_SERVER;
    c->name_len = 6;
    memcpy(c->name, "a.test", 6);

    milgi__op_perform(*state, &op, loaded);
    assert_int_equal(op.status, MILGI_OP_OK);
    c->name[0] = 'b';
    milgi__op_perform(*state, &op, loaded);
    assert_int_equal(op.status, MILGI_OP_REJECTED);
    assert_int_equal(c->alert, MILGI_ALERT_BAD_CERTIFICATE);
    assert_string_equal(milgi__verdict_text(c->verdict), "hostname mismatch");
    c->name_len = 0; /* any name */
    milgi__op_perform(*state, &op, loaded);
    assert_int_equal(op.status, MILGI_OP_OK);
    c->purpose = 0;
    milgi__op_perform(*state, &op, loaded);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    c->purpose = MILGI_PURPOSE_SERVER;
    milgi__op_perform(*state, &op, NULL);
    assert_int_equal(op.status, MILGI_OP_BROKEN);
    milgi__loaded_free(&key, loaded);
    milgi__cert_list_clear(&anchors);
    milgi__cert_list_clear(&chain);
    identity_free(leaf);
    identity_free(root);
}

#define op_test(f) cmocka_unit_test_setup_teardown(f, open_crypto, close_crypto)

int main(void)
{
    const struct CMUnitTest tests[] = {
        op_test(a_sealed_record_opens),
        op_test(records_without_ops_are_as_those_with_them),
        op_test(many_records_at_once_are_as_each_by_itself),
        op_test(ops_of_many_keys_at_once_are_as_each_by_itself),
        op_test(a_senseless_record_op_is_broken),
        op_test(a_key_exchange_of_two_ops_agrees),
        op_test(a_senseless_key_exchange_is_broken_and_a_bad_share_rejected),
        op_test(a_signature_of_one_op_is_verified_by_another),
        op_test(signing_without_a_fitting_key_is_broken),
        op_test(a_key_whose_bytes_are_elsewhere_is_not_loaded),
        op_test(a_chain_is_verified_and_the_verdict_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
