/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that are taken apart into numbers, done in lanes, and put together again. The arithmetic is OpenSSL's here, one
 * lane behind the other, so all but the vectors themselves is tried on any processor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/base.h"
#include "device/batch/batch.h"
#include "device/device.h"
#include "device/lanes/numbers.h"
#include "op/material.h"
#include "rig.h"

static struct milgi_device *device;
static struct rig rig;

/* --- arithmetic -------------------------------------------------------------------------------------------------- */

static struct {
    unsigned calls, last_n;
    uint32_t fail;         /* lanes, as bits, that say they failed */
    bool zeros;            /* a shared secret is zeros, and the lane finds nothing in it */
    uint8_t nonce[64][48]; /* all that were used */
    unsigned nonces;
} seen;

static EVP_PKEY *raw_key(int type, const uint8_t *secret)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(type, NULL, secret, 32);
    assert_non_null(key);
    return key;
}

static uint32_t x25519_base(unsigned n, uint8_t *const *share, const uint8_t *const *secret)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        EVP_PKEY *key = raw_key(EVP_PKEY_X25519, secret[i]);
        size_t len = 32;
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, share[i], &len), 1);
        EVP_PKEY_free(key);
    }
    return seen.fail;
}

static uint32_t x25519(
    unsigned n, uint8_t *const *shared, const uint8_t *const *secret, const uint8_t *const *share)
{
    uint32_t failed = 0;

    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        EVP_PKEY *key = raw_key(EVP_PKEY_X25519, secret[i]);
        EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share[i], 32);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
        size_t len = 32;
        bool done = EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
            EVP_PKEY_derive(ctx, shared[i], &len) == 1;
        if (!done && seen.zeros)
            memset(shared[i], 0, 32);
        else
            failed |= (uint32_t)!done << i;
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(peer);
        EVP_PKEY_free(key);
    }
    return failed | seen.fail;
}

static void sign_one(size_t len, uint8_t *rs, const uint8_t *hash, const uint8_t *nonce, const uint8_t *scalar)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(len == 32 ? NID_X9_62_prime256v1 : NID_secp384r1);
    const BIGNUM *order = EC_GROUP_get0_order(group);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *k = BN_bin2bn(nonce, (int)len, NULL), *d = BN_bin2bn(scalar, (int)len, NULL);
    BIGNUM *z = BN_bin2bn(hash, (int)len, NULL), *r = BN_new(), *s = BN_new();
    EC_POINT *point = EC_POINT_new(group);

    assert_true(!BN_is_zero(k) && BN_cmp(k, order) < 0);
    EC_POINT_mul(group, point, k, NULL, NULL, ctx);
    EC_POINT_get_affine_coordinates(group, point, r, NULL, ctx);
    BN_nnmod(r, r, order, ctx);
    BN_mod_mul(s, r, d, order, ctx);
    BN_mod_add(s, s, z, order, ctx);
    BN_mod_inverse(k, k, order, ctx);
    BN_mod_mul(s, s, k, order, ctx);
    BN_bn2binpad(r, rs, (int)len);
    BN_bn2binpad(s, rs + len, (int)len);
    EC_POINT_free(point);
    BN_free(s);
    BN_free(r);
    BN_free(z);
    BN_free(d);
    BN_free(k);
    BN_CTX_free(ctx);
    EC_GROUP_free(group);
}

static uint32_t ecdsa_sign(unsigned n, size_t len, uint8_t *const *rs, const uint8_t *const *hash,
    const uint8_t *const *nonce, const uint8_t *const *scalar)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        sign_one(len, rs[i], hash[i], nonce[i], scalar[i]);
        if (seen.nonces < MILGI__COUNT(seen.nonce))
            memcpy(seen.nonce[seen.nonces++], nonce[i], len);
    }
    return seen.fail;
}

/* u1 G + u2 Q has r for its x. */
static bool verify_one(const struct milgi__raw_p256 *sig)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    const BIGNUM *order = EC_GROUP_get0_order(group);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *r = BN_bin2bn(sig->r, 32, NULL), *s = BN_bin2bn(sig->s, 32, NULL), *z = BN_bin2bn(sig->hash, 32, NULL);
    BIGNUM *x = BN_bin2bn(sig->x, 32, NULL), *y = BN_bin2bn(sig->y, 32, NULL);
    EC_POINT *point = EC_POINT_new(group), *key = EC_POINT_new(group);

    assert_int_equal(EC_POINT_set_affine_coordinates(group, key, x, y, ctx), 1);
    BN_mod_inverse(s, s, order, ctx);
    BN_mod_mul(z, z, s, order, ctx);
    BN_mod_mul(s, r, s, order, ctx);
    EC_POINT_mul(group, point, z, key, s, ctx);
    EC_POINT_get_affine_coordinates(group, point, x, NULL, ctx);
    BN_nnmod(x, x, order, ctx);
    bool right = BN_cmp(x, r) == 0;
    EC_POINT_free(key);
    EC_POINT_free(point);
    BN_free(y);
    BN_free(x);
    BN_free(z);
    BN_free(s);
    BN_free(r);
    BN_CTX_free(ctx);
    EC_GROUP_free(group);
    return right;
}

static uint32_t p256_verify(unsigned n, const struct milgi__raw_p256 *const *sig)
{
    uint32_t failed = 0;

    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++)
        failed |= (uint32_t)!verify_one(sig[i]) << i;
    return failed | seen.fail;
}

static uint32_t eddsa_sign(unsigned n, uint8_t *const *sig, const uint8_t *const *message, const size_t *len,
    const struct milgi__raw_key *const *key)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        EVP_PKEY *pkey = raw_key(EVP_PKEY_ED25519, key[i]->u.ed25519.secret);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t pub[32];
        size_t sig_len = 64, pub_len = 32;
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, pub, &pub_len), 1);
        assert_memory_equal(pub, key[i]->u.ed25519.pub, 32);
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
        assert_int_equal(EVP_DigestSign(ctx, sig[i], &sig_len, message[i], len[i]), 1);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(pkey);
    }
    return seen.fail;
}

/* m1 = c^dp mod p, m2 = c^dq mod q, m = m2 + q (qinv (m1 - m2) mod p) */
static void rsa_one(size_t half, uint8_t *sig, const uint8_t *message, const struct milgi__raw_key *key)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *c = BN_bin2bn(message, (int)(2 * half), NULL), *m1 = BN_new(), *m2 = BN_new();
    BIGNUM *p = BN_bin2bn(key->u.rsa.p, (int)half, NULL), *q = BN_bin2bn(key->u.rsa.q, (int)half, NULL);
    BIGNUM *dp = BN_bin2bn(key->u.rsa.dp, (int)half, NULL), *dq = BN_bin2bn(key->u.rsa.dq, (int)half, NULL);
    BIGNUM *qinv = BN_bin2bn(key->u.rsa.qinv, (int)half, NULL);

    BN_mod_exp(m1, c, dp, p, ctx);
    BN_mod_exp(m2, c, dq, q, ctx);
    BN_mod_sub(m1, m1, m2, p, ctx);
    BN_mod_mul(m1, m1, qinv, p, ctx);
    BN_mul(m1, m1, q, ctx);
    BN_add(m1, m1, m2);
    BN_bn2binpad(m1, sig, (int)(2 * half));
    BN_free(qinv);
    BN_free(dq);
    BN_free(dp);
    BN_free(q);
    BN_free(p);
    BN_free(m2);
    BN_free(m1);
    BN_free(c);
    BN_CTX_free(ctx);
}

static uint32_t rsa(unsigned n, unsigned bits, uint8_t *const *sig, const uint8_t *const *message,
    const struct milgi__raw_key *const *key)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(key[i]->bits, bits);
        rsa_one(bits / 16, sig[i], message[i], key[i]);
    }
    return seen.fail;
}

static const struct milgi__vectors vectors = { x25519_base, x25519, ecdsa_sign, p256_verify, eddsa_sign, rsa };

/* --- lanes of it ------------------------------------------------------------------------------------------------- */

static const char *usable(void)
{
    return NULL;
}

static uint32_t all_rows(void)
{
    return MILGI__ROWS_ALL;
}

static bool run(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    return milgi__numbers_run(&vectors, cx, row, lane, n);
}

static const struct milgi__lanes_kind numbers = {
    .name = "numbers",
    .caps = MILGI_CAP_TESTED,
    .raw = true,
    .unusable = usable,
    .rows = all_rows,
    .run = run,
};

/* With rows of any number of ops in lanes. */
static int begin(void **state)
{
    const char *why = NULL;

    (void)state;
    assert_int_equal(milgi__batch_make(&numbers, 0, 1, &device, &why), 0);
    assert_null(device->note); /* it gives the known answers, in all rows */
    why = rig_open(&rig, device, false, 3);
    if (why)
        fail_msg("%s", why);
    memset(&seen, 0, sizeof seen);
    return 0;
}

static int end(void **state)
{
    (void)state;
    rig_close(&rig);
    milgi_device_free(device);
    return 0;
}

/* --- what goes through it ---------------------------------------------------------------------------------------- */

static struct job *make(enum milgi__row row, bool bad)
{
    switch (row) {
    case MILGI__ROW_X25519_KEYGEN: return job_keygen(&rig, MILGI_GROUP_X25519);
    case MILGI__ROW_X25519_DERIVE: return job_derive(&rig, MILGI_GROUP_X25519, bad ? SHARE_OFF_CURVE : SHARE_GOOD);
    case MILGI__ROW_P256_SIGN: return job_sign(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    case MILGI__ROW_P256_VERIFY: return job_verify(&rig, RIG_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, bad);
    case MILGI__ROW_P384_SIGN: return job_sign(&rig, RIG_P384, MILGI_SIG_ECDSA_SECP384R1_SHA384);
    case MILGI__ROW_ED25519_SIGN: return job_sign(&rig, RIG_ED25519, MILGI_SIG_ED25519);
    default: return job_sign(&rig, RIG_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA512);
    }
}

static void go(struct job *const *jobs, unsigned n)
{
    const char *why = rig_enqueue(&rig, jobs, n);

    why = why ? why : rig_finish(&rig, jobs, n);
    if (why)
        fail_msg("%s", why);
    for (unsigned i = 0; i < n; i++)
        job_free(jobs[i]);
}

static void any_number_of_lanes_gives_right_results(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned row = 0; row <= MILGI__ROW_RSA2048_SIGN; row++) {
        for (unsigned n = 1; n <= MILGI__LANES; n++) {
            unsigned calls = seen.calls;
            for (unsigned i = 0; i < n; i++)
                jobs[i] = make((enum milgi__row)row, false);
            go(jobs, n);
            assert_int_equal(seen.calls, calls + 1);
            assert_int_equal(seen.last_n, n);
        }
    }
}

/* A lane that fails: whether the input is bad, libcrypto says. */
static void a_lane_that_fails_is_judged_by_libcrypto(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned row = 0; row <= MILGI__ROW_RSA2048_SIGN; row++) {
        for (unsigned bad = 0; bad < MILGI__LANES; bad += row < MILGI__ROW_P384_SIGN ? 1 : 3) {
            seen.fail = 1u << bad;
            for (unsigned i = 0; i < MILGI__LANES; i++)
                jobs[i] = make((enum milgi__row)row, false);
            go(jobs, MILGI__LANES); /* right in all lanes */
        }
    }
}

static void bad_input_is_rejected_in_its_lane(void **state)
{
    static const enum milgi__row judging[] = { MILGI__ROW_X25519_DERIVE, MILGI__ROW_P256_VERIFY };
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned k = 0; k < 3; k++) {
        seen.zeros = k == 2;
        for (unsigned bad = 0; bad < MILGI__LANES; bad++) {
            for (unsigned i = 0; i < MILGI__LANES; i++)
                jobs[i] = make(judging[k % 2], i == bad || i == (bad + 3) % MILGI__LANES);
            go(jobs, MILGI__LANES);
        }
    }
}

/* Keys and signatures of which there are no numbers never come to a lane. */
static void what_cannot_be_taken_apart_is_rejected(void **state)
{
    (void)state;
    for (unsigned fault = 0; fault < 5; fault++) {
        struct job *jobs[MILGI__LANES];
        for (unsigned i = 0; i < MILGI__LANES; i++)
            jobs[i] = make(MILGI__ROW_P256_VERIFY, false);
        struct job *job = jobs[fault];
        struct milgi_op_sign *sign = &job->op.u.sign;
        uint8_t *sig = sign->blob.data + sign->spki_len;
        switch (fault) {
        case 0: sig[1]--; break;                                 /* shorter than it is */
        case 1: sign->sig_len--; break;                          /* cut */
        case 2: sign->blob.data[sign->spki_len - 1] ^= 1; break; /* off the curve */
        case 3: sign->blob.data[1]--; break;                     /* no key */
        default: sign->blob.data[sign->spki_len - 65] = 5;       /* no such form */
        }
        memcpy(job->src_before, job->src, job->size);
        job->before = job->op;
        job->want = MILGI_OP_REJECTED;
        go(jobs, MILGI__LANES);
        assert_int_equal(seen.last_n, MILGI__LANES - 1);
    }
}

static void no_nonce_comes_twice(void **state)
{
    struct job *jobs[MILGI__LANES];

    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        for (unsigned i = 0; i < MILGI__LANES; i++)
            jobs[i] = make(MILGI__ROW_P256_SIGN, false);
        go(jobs, MILGI__LANES);
    }
    assert_int_equal(seen.nonces, 64);
    for (unsigned i = 0; i < seen.nonces; i++) {
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(seen.nonce[i], seen.nonce[k], 32);
    }
}

/* A key whose numbers are of another length than its certificate says, or that has no numbers. */
static void a_key_without_its_numbers_is_used_with_libcrypto(void **state)
{
    struct job *jobs[MILGI__LANES];
    struct milgi__lanes_key *key = rig.signer[RIG_RSA].loaded.dev[RIG_DEV];

    (void)state;
    key->raw->bits = 3072;
    for (unsigned i = 0; i < MILGI__LANES; i++)
        jobs[i] = make(MILGI__ROW_RSA2048_SIGN, false);
    go(jobs, MILGI__LANES);
    assert_int_equal(seen.calls, 0);
    key = rig.signer[RIG_P521].loaded.dev[RIG_DEV];
    assert_null(key->raw);
    key = rig.signer[RIG_RSA_PSS].loaded.dev[RIG_DEV];
    assert_int_equal(key->raw->bits, 2048);
}

/* --- without memory ---------------------------------------------------------------------------------------------- */

static unsigned allocations, fails_at;

static bool fail_one(void)
{
    return ++allocations == fails_at;
}

/* Each allocation once: there is a device, or there is none and nothing is lost. */
static void any_allocation_may_fail(void **state)
{
    struct milgi_device *made;
    const char *why;

    (void)state;
    for (fails_at = 1;; fails_at++) {
        allocations = 0;
        made = NULL;
        milgi__mem_fail = fail_one;
        int rv = milgi__batch_make(&numbers, 0, 1, &made, &why);
        struct milgi_qp *qp = rv == 0 ? made->ops->qp_open(made, &rig.clock) : NULL;
        struct milgi_key key = rig.signer[RIG_P256];
        struct milgi__lanes_key *loaded = qp ? made->ops->key_load(qp, &key) : NULL;
        milgi__mem_fail = NULL;
        assert_true(rv == 0 || rv == MILGI_ENOMEM);
        bool all = loaded && loaded->raw && !made->note && allocations < fails_at;
        if (qp) {
            made->ops->key_free(qp, &key, loaded);
            made->ops->qp_close(qp);
        }
        if (rv == 0)
            milgi_device_free(made);
        if (all)
            return;
        assert_true(fails_at < 2000);
    }
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(any_number_of_lanes_gives_right_results),
        CASE(a_lane_that_fails_is_judged_by_libcrypto),
        CASE(bad_input_is_rejected_in_its_lane),
        CASE(what_cannot_be_taken_apart_is_rejected),
        CASE(no_nonce_comes_twice),
        CASE(a_key_without_its_numbers_is_used_with_libcrypto),
        CASE(any_allocation_may_fail),
    };
    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
