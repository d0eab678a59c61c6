/* SPDX-License-Identifier: Apache-2.0 */
/* X25519 and ECDH on P-256 and P-384, and HKDF and HMAC, which follow them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "wycheproof.h"

static bool has_flag(const struct vector *v, const char *flag)
{
    const json_t *flags = json_object_get(v->test, "flags");
    const json_t *value;
    size_t i;

    json_array_foreach(flags, i, value)
    {
        if (strcmp(json_string_value(value), flag) == 0)
            return true;
    }
    return false;
}

/* The vectors have numbers, with leading zeros or without: a private key is of the curve's length here. */
static void put_private(struct milgi_op_kex *k, struct bytes number, size_t len)
{
    while (number.len > len && number.data[0] == 0) {
        number.data++;
        number.len--;
    }
    assert_true(number.len <= len);
    memset(k->secret, 0, len);
    memcpy(k->secret + len - number.len, number.data, number.len);
    k->secret_len = (uint16_t)len;
}

static enum ran derive(const struct vector *v)
{
    uint16_t group = *(const uint16_t *)v->arg;
    struct milgi_op op = { .type = MILGI_OP_DERIVE, .alg = group };
    struct milgi_op_kex *k = &op.u.kex;
    struct bytes peer = hex_of(v->test, "public", 0);
    struct bytes shared = hex_of(v->test, "shared", 1);
    size_t secret_len = group == MILGI_GROUP_X25519 ? 32 : (milgi__kex_public_len(group) - 1) / 2;

    put_private(k, hex_of(v->test, "private", 2), secret_len);
    static uint8_t share[MILGI_KEX_PUBLIC_MAX];
    memcpy(share, peer.data, MILGI__MIN(peer.len, sizeof share));
    k->share = (struct milgi_slice){ NULL, share, (uint32_t)peer.len };
    rig_execute(v->rig, &op);

    /* TLS takes no compressed points, and no shared secret of zeros. */
    if (v->invalid || has_flag(v, "CompressedPoint") || has_flag(v, "ZeroSharedSecret")) {
        vector_assert(v, op.status == MILGI_OP_REJECTED);
        return RAN;
    }
    vector_assert(v, op.status == MILGI_OP_OK);
    vector_assert(v, k->shared_len == shared.len && memcmp(k->shared, shared.data, shared.len) == 0);
    return RAN;
}

static const uint16_t x25519 = MILGI_GROUP_X25519;
static const uint16_t p256 = MILGI_GROUP_SECP256R1;
static const uint16_t p384 = MILGI_GROUP_SECP384R1;
static const uint16_t p521 = MILGI_GROUP_SECP521R1;

static void x25519_derives_as_wycheproof_says(void **state)
{
    vectors_run(*state, "x25519_test.json", 0, derive, &x25519);
}

static void p256_derives_as_wycheproof_says(void **state)
{
    vectors_run(*state, "ecdh_secp256r1_ecpoint_test.json", 0, derive, &p256);
}

static void p384_derives_as_wycheproof_says(void **state)
{
    vectors_run(*state, "ecdh_secp384r1_ecpoint_test.json", 0, derive, &p384);
}

static void p521_derives_as_wycheproof_says(void **state)
{
    vectors_run(*state, "ecdh_secp521r1_ecpoint_test.json", 0, derive, &p521);
}

/* --- HKDF, HMAC --------------------------------------------------------------------------------------------------- */

static const enum milgi__hash sha256 = MILGI__SHA256;
static const enum milgi__hash sha384 = MILGI__SHA384;

static enum ran hkdf(const struct vector *v)
{
    static uint8_t out[70000];
    enum milgi__hash hash = *(const enum milgi__hash *)v->arg;
    struct bytes ikm = hex_of(v->test, "ikm", 0);
    struct bytes salt = hex_of(v->test, "salt", 1);
    struct bytes info = hex_of(v->test, "info", 2);
    struct bytes okm = hex_of(v->test, "okm", 3);
    size_t size = (size_t)number_of(v->test, "size");
    uint8_t prk[MILGI__HASH_MAX];

    vector_assert(v, size <= sizeof out);
    vector_assert(v, milgi__hmac(v->rig->cx, hash, salt.data, salt.len, ikm.data, ikm.len, prk) == 0);
    int result = milgi__hkdf_expand(
        v->rig->cx, hash, prk, milgi__hash_len(hash), info.data, info.len, out, size);
    vector_assert(v, (result == 0) == v->valid);
    if (v->valid)
        vector_assert(v, size == okm.len && memcmp(out, okm.data, size) == 0);
    return RAN;
}

static void hkdf_expands_as_wycheproof_says(void **state)
{
    vectors_run(*state, "hkdf_sha256_test.json", 0, hkdf, &sha256);
    vectors_run(*state, "hkdf_sha384_test.json", 0, hkdf, &sha384);
}

static enum ran hmac(const struct vector *v)
{
    enum milgi__hash hash = *(const enum milgi__hash *)v->arg;
    struct bytes key = hex_of(v->test, "key", 0);
    struct bytes msg = hex_of(v->test, "msg", 1);
    struct bytes tag = hex_of(v->test, "tag", 2);
    uint8_t out[MILGI__HASH_MAX];

    vector_assert(v, milgi__hmac(v->rig->cx, hash, key.data, key.len, msg.data, msg.len, out) == 0);
    vector_assert(v, tag.len <= milgi__hash_len(hash));
    vector_assert(v, (memcmp(out, tag.data, tag.len) == 0) == v->valid);
    return RAN;
}

static void hmac_is_as_wycheproof_says(void **state)
{
    vectors_run(*state, "hmac_sha256_test.json", 0, hmac, &sha256);
    vectors_run(*state, "hmac_sha384_test.json", 0, hmac, &sha384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x25519_derives_as_wycheproof_says),
        cmocka_unit_test(p256_derives_as_wycheproof_says),
        cmocka_unit_test(p384_derives_as_wycheproof_says),
        cmocka_unit_test(p521_derives_as_wycheproof_says),
        cmocka_unit_test(hkdf_expands_as_wycheproof_says),
        cmocka_unit_test(hmac_is_as_wycheproof_says),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
