/* SPDX-License-Identifier: Apache-2.0 */
/* An op from its slab to its end, and what it holds meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <milgi/conn.h>

#include "op/op.h"

/* --- tables ------------------------------------------------------------------------------------------------------- */

static void every_code_point_has_a_name_and_is_found_by_it(void **state)
{
    unsigned suites = 0, groups = 0, schemes = 0;

    (void)state;
    for (unsigned v = 0; v <= 0xffff; v++) {
        uint16_t id = (uint16_t)v;
        if (milgi_suite_name(id)) {
            assert_int_equal(milgi_suite_by_name(milgi_suite_name(id)), id);
            assert_int_equal(milgi__suite(id)->id, id);
            suites++;
        }
        if (milgi_group_name(id)) {
            assert_int_equal(milgi_group_by_name(milgi_group_name(id)), id);
            assert_true(milgi__kex_public_len(id) > 0);
            groups++;
        }
        if (milgi_scheme_name(id)) {
            assert_int_equal(milgi_scheme_by_name(milgi_scheme_name(id)), id);
            schemes++;
        }
    }
    assert_int_equal(suites, 3);
    assert_int_equal(groups, 3);
    assert_int_equal(schemes, 13);
    assert_int_equal(milgi_suite_by_name("TLS_AES_128_CCM_SHA256"), 0);
    assert_int_equal(milgi_group_by_name("x448"), 0);
    assert_int_equal(milgi_scheme_by_name(""), 0);
    assert_string_equal(milgi_suite_name(0x1303), "TLS_CHACHA20_POLY1305_SHA256");
    assert_string_equal(milgi_group_name(0x1d), "x25519");
    assert_string_equal(milgi_scheme_name(0x0403), "ecdsa_secp256r1_sha256");
}

static void only_certificates_are_signed_with_pkcs1(void **state)
{
    (void)state;
    for (unsigned v = 0; v <= 0xffff; v++) {
        const struct milgi__scheme *scheme = milgi__scheme((uint16_t)v);
        if (scheme)
            assert_int_equal(scheme->tls13, (v & 0xff) != 1);
    }
}

static void names_are_known_in_any_case_and_by_their_aliases(void **state)
{
    static const struct {
        const char *name;
        uint16_t id;
    } groups[] = { { "X25519", MILGI_GROUP_X25519 }, { "curve25519", MILGI_GROUP_X25519 },
        { "P-256", MILGI_GROUP_SECP256R1 }, { "p256", MILGI_GROUP_SECP256R1 },
        { "prime256v1", MILGI_GROUP_SECP256R1 }, { "SECP384R1", MILGI_GROUP_SECP384R1 },
        { "p-384", MILGI_GROUP_SECP384R1 }, { "P384", MILGI_GROUP_SECP384R1 }, { "x2551", 0 }, { "x25519x", 0 },
        { "", 0 } };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(groups); i++)
        assert_int_equal(milgi_group_by_name(groups[i].name), groups[i].id);
    assert_int_equal(milgi_suite_by_name("tls_aes_128_gcm_sha256"), MILGI_SUITE_AES_128_GCM_SHA256);
    assert_int_equal(milgi_suite_by_name("AES-256-GCM-SHA384"), MILGI_SUITE_AES_256_GCM_SHA384);
    assert_int_equal(milgi_suite_by_name("aes128-gcm"), MILGI_SUITE_AES_128_GCM_SHA256);
    assert_int_equal(milgi_suite_by_name("AES256-GCM-SHA384"), MILGI_SUITE_AES_256_GCM_SHA384);
    assert_int_equal(milgi_suite_by_name("TLS1-3"), 0);
    assert_int_equal(milgi_suite_by_name("TLS13_CHACHA20_POLY1305_SHA256"), MILGI_SUITE_CHACHA20_POLY1305_SHA256);
    assert_int_equal(milgi_suite_by_name("chacha20-poly1305"), MILGI_SUITE_CHACHA20_POLY1305_SHA256);
    assert_int_equal(milgi_suite_by_name(""), 0);
    assert_int_equal(milgi_suite_by_name("-"), 0);
    assert_int_equal(milgi_suite_by_name("TLS_CHACHA20_POLY1305"), 0);
    assert_int_equal(milgi_scheme_by_name("ECDSA-secp256r1-SHA256"), MILGI_SIG_ECDSA_SECP256R1_SHA256);
}

/* --- kinds -------------------------------------------------------------------------------------------------------- */

static void remember(bool seen[MILGI__KINDS], int type, uint16_t alg, uint32_t size)
{
    unsigned kind = milgi__op_kind(type, alg, size);

    assert_true(kind < MILGI__KINDS);
    assert_int_equal(kind < MILGI__RECORD_KINDS, type <= MILGI_OP_OPEN);
    assert_false(seen[kind]);
    seen[kind] = true;
}

static void each_algorithm_is_measured_apart_and_records_by_size(void **state)
{
    static const uint32_t sizes[] = { 0, 129, 257, 513, 1025, 2049, 4097, 16640 };
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
        MILGI_SUITE_CHACHA20_POLY1305_SHA256 };
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256 };
    bool seen[MILGI__KINDS] = { false };

    (void)state;
    for (int open = 0; open < 2; open++) {
        for (size_t i = 0; i < MILGI__COUNT(suites); i++) {
            for (size_t k = 0; k < MILGI__COUNT(sizes); k++)
                remember(seen, open ? MILGI_OP_OPEN : MILGI_OP_SEAL, suites[i], sizes[k]);
        }
        for (size_t i = 0; i < MILGI__COUNT(groups); i++)
            remember(seen, open ? MILGI_OP_KEYGEN : MILGI_OP_DERIVE, groups[i], 0);
        for (size_t i = 0; i < MILGI__COUNT(schemes); i++)
            remember(seen, open ? MILGI_OP_SIGN : MILGI_OP_VERIFY, schemes[i], 0);
    }
    remember(seen, MILGI_OP_VERIFY_CHAIN, 0, 0);
    assert_int_equal(milgi__op_kind(MILGI_OP_SEAL, suites[0], 128), milgi__op_kind(MILGI_OP_SEAL, suites[0], 1));
    assert_int_equal(milgi__op_kind(MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256, 0),
        milgi__op_kind(MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA512, 0));
}

static void an_unknown_algorithm_is_taken_for_none_of_the_known_ones(void **state)
{
    bool seen[MILGI__KINDS] = { false };

    (void)state;
    remember(seen, MILGI_OP_DERIVE, MILGI_GROUP_X25519, 0);
    remember(seen, MILGI_OP_DERIVE, 0x11ec, 0);
    assert_int_equal(milgi__op_kind(MILGI_OP_KEYGEN, 0x11ec, 0), milgi__op_kind(MILGI_OP_DERIVE, 0x11ec, 0));
    assert_int_equal(milgi__op_kind(MILGI_OP_SIGN, 0xfefe, 0), milgi__op_kind(MILGI_OP_DERIVE, 0x11ec, 0));
    assert_int_equal(milgi__op_kind(MILGI_OP_SEAL, 0x1305, 16384), milgi__op_kind(MILGI_OP_DERIVE, 0x11ec, 0));
}

/*= RFC8446 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
 *= connection" */
static void keys_are_changed_before_their_limit(void **state)
{
    (void)state;
    for (uint16_t id = 0x1301; id <= 0x1302; id++) {
        uint64_t limit = milgi__suite(id)->record_limit;
        assert_true(limit * limit < UINT64_C(1) << 49); /* 2^24.5 squared */
        assert_true(limit > 16000000);
    }
    assert_true(milgi__suite(0x1303)->record_limit <= UINT64_C(1) << 48);
}

static void types_and_statuses_have_names(void **state)
{
    (void)state;
    assert_string_equal(milgi_op_type_name(MILGI_OP_VERIFY_CHAIN), "VERIFY_CHAIN");
    assert_string_equal(milgi_op_status_name(MILGI_OP_LOST), "LOST");
    for (int i = 0; i < MILGI_OP_TYPES; i++)
        assert_string_not_equal(milgi_op_type_name(i), "unknown");
    assert_string_equal(milgi_op_type_name(-1), "unknown");
    assert_string_equal(milgi_op_type_name(MILGI_OP_TYPES), "unknown");
    assert_string_equal(milgi_op_status_name(-1), "unknown");
    assert_string_equal(milgi_op_status_name(6), "unknown");
}

static void serials_are_never_the_same(void **state)
{
    uint64_t last = milgi__key_serial();

    (void)state;
    assert_true(last > 0);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t next = milgi__key_serial();
        assert_true(next > last);
        last = next;
    }
}

static void longer_work_is_estimated_longer(void **state)
{
    struct milgi_op op = { .type = MILGI_OP_SEAL, .alg = MILGI_SUITE_AES_128_GCM_SHA256 };
    const uint16_t cheap_to_dear[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256 };

    (void)state;
    op.u.aead.src_n = 1;
    op.u.aead.src[0].len = 64;
    uint32_t small = milgi__op_estimate_ns(&op);
    op.u.aead.src[0].len = 16384;
    assert_true(milgi__op_estimate_ns(&op) > 4 * small);
    for (int type = MILGI_OP_KEYGEN; type < MILGI_OP_TYPES; type++) {
        struct milgi_op other = { .type = (uint8_t)type };
        assert_true(milgi__op_estimate_ns(&other) > small);
    }
    struct milgi_op a = { .type = MILGI_OP_SIGN, .alg = cheap_to_dear[0] };
    struct milgi_op b = { .type = MILGI_OP_SIGN, .alg = cheap_to_dear[1] };
    assert_true(milgi__op_estimate_ns(&b) > 10 * milgi__op_estimate_ns(&a));
}

/* --- clearing ----------------------------------------------------------------------------------------------------- */

static void clear_gives_every_chunk_back_once(void **state)
{
    struct milgi__pool_options options = { .limit = 1 << 20 };
    struct milgi__pool *pool = milgi__pool_new(&options);
    struct milgi_op op = { .type = MILGI_OP_OPEN };

    (void)state;
    for (uint8_t n = 0; n <= MILGI_OP_SLICES; n++) {
        memset(&op, 0, sizeof op);
        op.type = MILGI_OP_OPEN;
        op.u.aead.dst_chunk = milgi__chunk_alloc(pool, 100, 1, false);
        op.u.aead.src_n = n;
        for (unsigned i = 0; i < n; i++)
            op.u.aead.src[i].chunk = milgi__chunk_alloc(pool, 100, 1, false);
        milgi__op_clear(&op);
        milgi__op_clear(&op);
        assert_int_equal(milgi__pool_used(pool), 0);
    }
    const uint8_t types[] = { MILGI_OP_VERIFY, MILGI_OP_VERIFY_CHAIN, MILGI_OP_KEYGEN, MILGI_OP_DERIVE };
    for (unsigned i = 0; i < 4; i++) {
        memset(&op, 0, sizeof op);
        op.type = types[i];
        struct milgi_slice *slice = i == 0 ? &op.u.sign.blob : i == 1 ? &op.u.chain.chain
                                                                      : &op.u.kex.share;
        slice->chunk = milgi__chunk_alloc(pool, 100, 1, false);
        assert_true(milgi__pool_used(pool) > 0);
        milgi__op_clear(&op);
        milgi__op_clear(&op);
        assert_int_equal(milgi__pool_used(pool), 0);
    }
    milgi__pool_close(pool);
}

/* Those of X25519MLKEM768; no op gets larger for them. */
static void the_largest_key_share_fits(void **state)
{
    (void)state;
    assert_true(MILGI_KEX_PUBLIC_MAX >= 1184 + 32);
    assert_true(MILGI_KEX_SEED_MAX >= 64 + 32 && MILGI_KEX_SECRET_MAX >= 64 + 32);
    assert_true(sizeof(struct milgi_op_kex) < sizeof(struct milgi_op_sign));
}

static void clear_wipes_secrets(void **state)
{
    static const struct milgi_op_kex zeros;
    struct milgi_op op;

    (void)state;
    for (uint8_t type = MILGI_OP_KEYGEN; type <= MILGI_OP_DERIVE; type++) {
        memset(&op, 0xab, sizeof op);
        op.type = type;
        op.u.kex.share.chunk = NULL;
        milgi__op_clear(&op);
        assert_memory_equal(&op.u.kex, &zeros, sizeof zeros);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_has_a_name_and_is_found_by_it),
        cmocka_unit_test(only_certificates_are_signed_with_pkcs1),
        cmocka_unit_test(names_are_known_in_any_case_and_by_their_aliases),
        cmocka_unit_test(each_algorithm_is_measured_apart_and_records_by_size),
        cmocka_unit_test(an_unknown_algorithm_is_taken_for_none_of_the_known_ones),
        cmocka_unit_test(keys_are_changed_before_their_limit),
        cmocka_unit_test(types_and_statuses_have_names),
        cmocka_unit_test(serials_are_never_the_same),
        cmocka_unit_test(longer_work_is_estimated_longer),
        cmocka_unit_test(clear_gives_every_chunk_back_once),
        cmocka_unit_test(the_largest_key_share_fits),
        cmocka_unit_test(clear_wipes_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
