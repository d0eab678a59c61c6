/* SPDX-License-Identifier: Apache-2.0 */
/* An op from its slab to its end, and what it holds meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <milgi/conn.h>

#include "crypto/kem.h"
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
            assert_int_equal(milgi__kex_public_len(id) > 0, milgi__group(id)->kind != MILGI__HYBRID);
            groups++;
        }
        if (milgi_scheme_name(id)) {
            assert_int_equal(milgi_scheme_by_name(milgi_scheme_name(id)), id);
            schemes++;
        }
    }
    assert_int_equal(suites, 9);
    assert_int_equal(groups, 9);
    assert_int_equal(schemes, 16);
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
        if (!scheme)
            continue;
        assert_int_equal(scheme->tls13, (v & 0xff) != 1);
        assert_int_equal(scheme->tls12, !milgi__key_is_mldsa(scheme->key));
        assert_int_equal(scheme->long_len != 0, milgi__key_is_mldsa(scheme->key));
        assert_true(scheme->long_len <= MILGI_SIGNATURE_LONG_MAX);
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
        { "p-384", MILGI_GROUP_SECP384R1 }, { "P384", MILGI_GROUP_SECP384R1 },
        { "p521", MILGI_GROUP_SECP521R1 },
        { "x25519mlkem768", MILGI_GROUP_X25519MLKEM768 }, { "SecP256r1-MLKEM768", MILGI_GROUP_SECP256R1MLKEM768 },
        { "secp384r1mlkem1024", MILGI_GROUP_SECP384R1MLKEM1024 }, { "x2551", 0 }, { "x25519x", 0 },
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
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
        MILGI_GROUP_SECP521R1, MILGI_GROUP_MLKEM768, MILGI_GROUP_MLKEM1024 };
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_MLDSA44, MILGI_SIG_MLDSA65, MILGI_SIG_MLDSA87 };
    bool seen[MILGI__KINDS] = { false };

    (void)state;
    for (int open = 0; open < 2; open++) {
        for (size_t i = 0; i < MILGI__COUNT(suites); i++) {
            for (size_t k = 0; k < MILGI__COUNT(sizes); k++)
                remember(seen, open ? MILGI_OP_OPEN : MILGI_OP_SEAL, suites[i], sizes[k]);
        }
        for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
            remember(seen, open ? MILGI_OP_KEYGEN : MILGI_OP_DERIVE, groups[i], 0);
            remember(seen, open ? MILGI_OP_ENCAPS : MILGI_OP_DECAPS, groups[i], 0);
        }
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
    const uint8_t types[] = { MILGI_OP_VERIFY, MILGI_OP_VERIFY_CHAIN, MILGI_OP_KEYGEN, MILGI_OP_DERIVE, MILGI_OP_ENCAPS,
        MILGI_OP_DECAPS };
    for (unsigned i = 0; i < MILGI__COUNT(types); i++) {
        memset(&op, 0, sizeof op);
        op.type = types[i];
        struct milgi_slice *slice = i == 0 ? &op.u.sign.blob : i == 1 ? &op.u.chain.chain
                                                                      : &op.u.kex.share;
        slice->chunk = milgi__chunk_alloc(pool, 100, 1, false);
        if (i > 1)
            op.u.kex.ciphertext.chunk = milgi__chunk_alloc(pool, 100, 1, false);
        assert_true(milgi__pool_used(pool) > 0);
        milgi__op_clear(&op);
        milgi__op_clear(&op);
        assert_int_equal(milgi__pool_used(pool), 0);
    }
    milgi__pool_close(pool);
}

/* No op gets larger for them. */
static void the_largest_key_share_fits(void **state)
{
    (void)state;
    for (unsigned v = 0; v <= 0xffff; v++) {
        const struct milgi__group *group = milgi__group((uint16_t)v);
        if (!group)
            continue;
        assert_true(group->client_len <= MILGI_KEX_PUBLIC_MAX && group->server_len <= MILGI_KEX_PUBLIC_MAX);
        assert_true(group->seed_len <= MILGI_KEX_SEED_MAX && group->encaps_seed_len <= MILGI_KEX_SEED_MAX);
        assert_true(group->shared_len <= MILGI_KEX_SECRET_MAX);
    }
    assert_true(sizeof(struct milgi_op_kex) < sizeof(struct milgi_op_sign));
}

/* A hybrid is the sum of its parts: one of each kind. */
static void hybrids_are_made_of_two_groups(void **state)
{
    static const struct {
        uint16_t id, dh, kem, client_len, server_len;
    } hybrids[] = {
        { 0x11eb, MILGI_GROUP_SECP256R1, MILGI_GROUP_MLKEM768, 1249, 1153 },
        { 0x11ec, MILGI_GROUP_X25519, MILGI_GROUP_MLKEM768, 1216, 1120 },
        { 0x11ed, MILGI_GROUP_SECP384R1, MILGI_GROUP_MLKEM1024, 1665, 1665 },
    };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(hybrids); i++) {
        const struct milgi__group *group = milgi__group(hybrids[i].id);
        assert_int_equal(group->kind, MILGI__HYBRID);
        assert_int_equal(milgi__group_part(group, MILGI__DH), hybrids[i].dh);
        assert_int_equal(milgi__group_part(group, MILGI__KEM), hybrids[i].kem);
        assert_int_equal(group->half[0] == hybrids[i].kem, hybrids[i].id == MILGI_GROUP_X25519MLKEM768);
        assert_int_equal(group->client_len, hybrids[i].client_len);
        assert_int_equal(group->server_len, hybrids[i].server_len);
        const struct milgi__group *a = milgi__group(group->half[0]), *b = milgi__group(group->half[1]);
        assert_int_equal(group->client_len, a->client_len + b->client_len);
        assert_int_equal(group->server_len, a->server_len + b->server_len);
        assert_int_equal(group->shared_len, a->shared_len + b->shared_len);
        assert_int_equal(milgi__kex_seed_len(group->id), 0);
        assert_int_equal(milgi__group_usable(group->id), milgi__kem_available());
    }
    assert_int_equal(milgi__group_part(milgi__group(MILGI_GROUP_X25519), MILGI__KEM), 0);
    assert_int_equal(milgi__group_part(milgi__group(MILGI_GROUP_X25519), MILGI__DH), MILGI_GROUP_X25519);
    assert_true(milgi__group_usable(MILGI_GROUP_X25519));
    assert_int_equal(milgi__group_usable(MILGI_GROUP_MLKEM768), milgi__kem_available());
    assert_false(milgi__group_usable(0x0200));
}

static void clear_wipes_secrets(void **state)
{
    static const struct milgi_op_kex zeros;
    struct milgi_op op;

    (void)state;
    for (uint8_t type = MILGI_OP_KEYGEN; type <= MILGI_OP_DECAPS; type++) {
        memset(&op, 0xab, sizeof op);
        op.type = type;
        op.u.kex.share.chunk = op.u.kex.ciphertext.chunk = NULL;
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
        cmocka_unit_test(hybrids_are_made_of_two_groups),
        cmocka_unit_test(clear_wipes_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
