/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wycheproof's vectors, taken apart into numbers as lanes want them and put together again: X25519 secrets and P-256
 * signatures. What libcrypto refuses, lanes refuse too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "arithmetic.h"
#include "wycheproof.h"

/* In a lane by itself, if it has a row: false. */
static bool in_lane(const struct vector *v, enum milgi__row row, struct milgi_op *op)
{
    static const struct milgi__lanes_kind kind = { .name = "numbers" };
    const struct milgi__lanes lanes = { .kind = &kind, .rows = MILGI__ROWS_ALL };
    struct milgi__lane lane = { op, NULL };

    if (milgi__lanes_row(&lanes, op, NULL) != row)
        return false;
    assert_true(milgi__numbers_run(&arithmetic, v->rig->cx, row, &lane, 1));
    return true;
}

static enum ran derive(const struct vector *v)
{
    struct milgi_op op = { .type = MILGI_OP_DERIVE, .alg = MILGI_GROUP_X25519 };
    struct milgi_op_kex *k = &op.u.kex;
    struct bytes peer = hex_of(v->test, "public", 0), shared = hex_of(v->test, "shared", 1);
    struct bytes secret = hex_of(v->test, "private", 2);
    static const uint8_t zeros[32];

    vector_assert(v, secret.len == 32 && peer.len == 32 && shared.len == 32);
    memcpy(k->secret, secret.data, 32);
    k->secret_len = 32;
    k->share = (struct milgi_slice){ NULL, peer.data, 32 };
    vector_assert(v, in_lane(v, MILGI__ROW_X25519_DERIVE, &op));
    bool taken = !v->invalid && memcmp(shared.data, zeros, 32) != 0;
    vector_assert(v, op.status == (taken ? MILGI_OP_OK : MILGI_OP_REJECTED));
    if (taken)
        vector_assert(v, k->shared_len == 32 && memcmp(k->shared, shared.data, 32) == 0);
    return RAN;
}

static enum ran verify(const struct vector *v)
{
    struct bytes msg = hex_of(v->test, "msg", 0), key = hex_of(v->group, "publicKeyDer", 1);
    struct bytes sig = hex_of(v->test, "sig", 2);
    bool refused = v->arg != NULL;
    uint8_t blob[8192];

    if (msg.len > MILGI_SIGN_INPUT_MAX)
        return FILTERED;
    vector_assert(v, key.len + sig.len <= sizeof blob);
    memcpy(blob, key.data, key.len);
    memcpy(blob + key.len, sig.data, sig.len);
    struct milgi_op op = { .type = MILGI_OP_VERIFY, .alg = MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    memcpy(op.u.sign.input, msg.data, msg.len);
    op.u.sign.input_len = (uint16_t)msg.len;
    op.u.sign.spki_len = (uint32_t)key.len;
    op.u.sign.sig_len = (uint16_t)sig.len;
    op.u.sign.blob = (struct milgi_slice){ NULL, blob, (uint32_t)(key.len + sig.len) };
    vector_assert(v, in_lane(v, MILGI__ROW_P256_VERIFY, &op));
    vector_assert(v, op.status == (v->valid && !refused ? MILGI_OP_OK : MILGI_OP_REJECTED));
    return RAN;
}

static void lanes_derive_as_wycheproof_says(void **state)
{
    seen.zeros = true; /* as vectors do that do not look */
    vectors_run(*state, "x25519_test.json", 0, derive, NULL);
    seen.zeros = false;
    vectors_run(*state, "x25519_test.json", 0, derive, NULL);
}

static void lanes_verify_as_wycheproof_says(void **state)
{
    vectors_run(*state, "ecdsa_secp256r1_sha256_test.json", 0, verify, NULL);
    assert_true(seen.calls > 200);
}

static void keys_of_another_curve_come_to_no_lane(void **state)
{
    unsigned calls = seen.calls;

    vectors_run(*state, "ecdsa_secp256k1_sha256_test.json", 0, verify, "refused");
    vectors_run(*state, "ecdsa_secp384r1_sha256_test.json", 0, verify, "refused");
    assert_int_equal(seen.calls, calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_derive_as_wycheproof_says),
        cmocka_unit_test(lanes_verify_as_wycheproof_says),
        cmocka_unit_test(keys_of_another_curve_come_to_no_lane),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
