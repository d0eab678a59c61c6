/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures that VERIFY must take or refuse: ECDSA, Ed25519, RSA-PSS, and RSA PKCS#1 of certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wycheproof.h"

/* Most messages fit an op; a longer one goes to what an op would call. */
static bool verifies_with(const struct vector *v, uint16_t scheme, struct bytes msg, bool any_curve)
{
    struct bytes key = hex_of(v->group, "publicKeyDer", 1);
    struct bytes sig = hex_of(v->test, "sig", 2);
    uint8_t blob[8192];

    if (msg.len > MILGI_SIGN_INPUT_MAX)
        return milgi__verify(v->rig->cx, key.data, key.len, scheme, msg.data, msg.len, sig.data, sig.len) == 0;
    vector_assert(v, key.len + sig.len <= sizeof blob);
    memcpy(blob, key.data, key.len);
    memcpy(blob + key.len, sig.data, sig.len);
    struct milgi_op op = { .type = MILGI_OP_VERIFY, .alg = scheme };
    memcpy(op.u.sign.input, msg.data, msg.len);
    op.u.sign.input_len = (uint16_t)msg.len;
    op.u.sign.spki_len = (uint32_t)key.len;
    op.u.sign.sig_len = (uint16_t)sig.len;
    op.u.sign.any_curve = any_curve;
    op.u.sign.blob = (struct milgi_slice){ NULL, blob, (uint32_t)(key.len + sig.len) };
    rig_execute(v->rig, &op);
    vector_assert(v, op.status == MILGI_OP_OK || op.status == MILGI_OP_REJECTED);
    return op.status == MILGI_OP_OK;
}

static bool verifies(const struct vector *v, uint16_t scheme, struct bytes msg)
{
    return verifies_with(v, scheme, msg, false);
}

static enum ran verify(const struct vector *v)
{
    bool taken = verifies(v, *(const uint16_t *)v->arg, hex_of(v->test, "msg", 0));

    if (v->valid)
        vector_assert(v, taken);
    else /* acceptable ones are PKCS#1 signatures without the NULL that RFC 8017 wants */
        vector_assert(v, !taken);
    return RAN;
}

/* In TLS 1.2 the scheme names the hash, and the curve is the key's. */
static enum ran verify_any_curve(const struct vector *v)
{
    struct bytes msg = hex_of(v->test, "msg", 0);
    if (msg.len > MILGI_SIGN_INPUT_MAX)
        return FILTERED;
    vector_assert(v, verifies_with(v, *(const uint16_t *)v->arg, msg, true) == v->valid);
    return RAN;
}

/* The keys are of another type than the scheme's: every one must be refused. */
static enum ran refuse(const struct vector *v)
{
    vector_assert(v, !verifies(v, *(const uint16_t *)v->arg, hex_of(v->test, "msg", 0)));
    return RAN;
}

/* Mask or salt are others than the scheme's. What is wrong there may be right here, but nothing that is right there. */
static enum ran refuse_valid(const struct vector *v)
{
    vector_assert(v, !v->valid || !verifies(v, *(const uint16_t *)v->arg, hex_of(v->test, "msg", 0)));
    return RAN;
}

static void run(void **state, const char *file, uint16_t scheme)
{
    vectors_run(*state, file, 0, verify, &scheme);
}

static void run_refused(void **state, const char *file, uint16_t scheme)
{
    vectors_run(*state, file, 0, refuse, &scheme);
}

static void run_valid_refused(void **state, const char *file, uint16_t scheme)
{
    vectors_run(*state, file, 0, refuse_valid, &scheme);
}

static void ecdsa_verifies_as_wycheproof_says(void **state)
{
    run(state, "ecdsa_secp256r1_sha256_test.json", MILGI_SIG_ECDSA_SECP256R1_SHA256);
    run(state, "ecdsa_secp384r1_sha384_test.json", MILGI_SIG_ECDSA_SECP384R1_SHA384);
    run(state, "ecdsa_secp521r1_sha512_test.json", MILGI_SIG_ECDSA_SECP521R1_SHA512);
}

static void ecdsa_may_be_told_that_any_curve_will_do(void **state)
{
    uint16_t scheme = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    vectors_run(*state, "ecdsa_secp384r1_sha256_test.json", 0, verify_any_curve, &scheme);
    vectors_run(*state, "ecdsa_secp256r1_sha256_test.json", 0, verify_any_curve, &scheme);
}

static void ecdsa_refuses_keys_of_another_curve(void **state)
{
    run_refused(state, "ecdsa_secp256k1_sha256_test.json", MILGI_SIG_ECDSA_SECP256R1_SHA256);
    run_refused(state, "ecdsa_secp384r1_sha256_test.json", MILGI_SIG_ECDSA_SECP256R1_SHA256);
}

static void ed25519_verifies_as_wycheproof_says(void **state)
{
    run(state, "ed25519_test.json", MILGI_SIG_ED25519);
}

static void rsa_pss_rsae_verifies_as_wycheproof_says(void **state)
{
    run(state, "rsa_pss_2048_sha256_mgf1_32_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA256);
    run(state, "rsa_pss_3072_sha256_mgf1_32_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA256);
    run(state, "rsa_pss_4096_sha256_mgf1_32_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA256);
    run(state, "rsa_pss_4096_sha384_mgf1_48_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA384);
    run(state, "rsa_pss_4096_sha512_mgf1_64_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA512);
}

static void rsa_pss_pss_verifies_as_wycheproof_says(void **state)
{
    run(state, "rsa_pss_2048_sha256_mgf1_32_params_test.json", MILGI_SIG_RSA_PSS_PSS_SHA256);
    run(state, "rsa_pss_3072_sha256_mgf1_32_params_test.json", MILGI_SIG_RSA_PSS_PSS_SHA256);
    run(state, "rsa_pss_4096_sha512_mgf1_64_params_test.json", MILGI_SIG_RSA_PSS_PSS_SHA512);
}

static void rsa_pss_refuses_another_salt_mask_or_key_type(void **state)
{
    run_valid_refused(state, "rsa_pss_2048_sha256_mgf1_0_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA256);
    run_valid_refused(state, "rsa_pss_2048_sha256_mgf1sha1_20_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA256);
    run_valid_refused(state, "rsa_pss_4096_sha512_mgf1_32_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA512);
    run_valid_refused(state, "rsa_pss_2048_sha512_mgf1sha256_32_params_test.json", MILGI_SIG_RSA_PSS_PSS_SHA512);
    run_refused(state, "rsa_pss_2048_sha256_mgf1_32_params_test.json", MILGI_SIG_RSA_PSS_RSAE_SHA256);
    run_refused(state, "rsa_pss_2048_sha256_mgf1_32_test.json", MILGI_SIG_RSA_PSS_PSS_SHA256);
}

static void rsa_pkcs1_verifies_as_wycheproof_says(void **state)
{
    run(state, "rsa_signature_2048_sha256_test.json", MILGI_SIG_RSA_PKCS1_SHA256);
    run(state, "rsa_signature_3072_sha384_test.json", MILGI_SIG_RSA_PKCS1_SHA384);
    run(state, "rsa_signature_4096_sha512_test.json", MILGI_SIG_RSA_PKCS1_SHA512);
    run(state, "rsa_signature_8192_sha256_test.json", MILGI_SIG_RSA_PKCS1_SHA256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecdsa_verifies_as_wycheproof_says),
        cmocka_unit_test(ecdsa_refuses_keys_of_another_curve),
        cmocka_unit_test(ecdsa_may_be_told_that_any_curve_will_do),
        cmocka_unit_test(ed25519_verifies_as_wycheproof_says),
        cmocka_unit_test(rsa_pss_rsae_verifies_as_wycheproof_says),
        cmocka_unit_test(rsa_pss_pss_verifies_as_wycheproof_says),
        cmocka_unit_test(rsa_pss_refuses_another_salt_mask_or_key_type),
        cmocka_unit_test(rsa_pkcs1_verifies_as_wycheproof_says),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
