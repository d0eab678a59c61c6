/* SPDX-License-Identifier: Apache-2.0 */
/* ML-DSA: keys, certificates, chains, what is offered, and whole connections on every kind of device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <milgi/policy.h>

#include "cert/cert.h"
#include "config/config.h"
#include "crypto/x509.h"
#include "device/sim/manual.h"
#include "mldsa.h"
#include "op/algorithm.h"
#include "op/op.h"
#include "pair.h"

#define MUST(call) assert_int_equal((call), 0)

enum {
    SETS = 3
};
static const struct {
    enum milgi__key_type type;
    uint16_t scheme, spki_len, sig_len;
    const char *name, *scheme_name;
} sets[SETS] = {
    { MILGI__KEY_MLDSA44, MILGI_SIG_MLDSA44, 1312 + 22, 2420, "ML-DSA-44", "mldsa44" },
    { MILGI__KEY_MLDSA65, MILGI_SIG_MLDSA65, 1952 + 22, 3309, "ML-DSA-65", "mldsa65" },
    { MILGI__KEY_MLDSA87, MILGI_SIG_MLDSA87, 2592 + 22, 4627, "ML-DSA-87", "mldsa87" },
};

static struct {
    struct mldsa_identity *root[SETS], *leaf[SETS];
    struct milgi_trust *trust[SETS];
    struct milgi_credential *credential[SETS];
} all;
static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

static int set_up(void **state)
{
    (void)state;
    for (unsigned i = 0; milgi__mldsa_available() && i < SETS; i++) {
        all.root[i] = mldsa_identity(sets[i].type, 1, "root", NULL);
        all.leaf[i] = mldsa_identity(sets[i].type, 2, "a.test", all.root[i]);
        const struct mldsa_identity *root = all.root[i], *leaf = all.leaf[i];
        MUST(milgi_trust_new_pem(root->cert_pem, strlen(root->cert_pem), &all.trust[i]));
        MUST(milgi_credential_new_pem(leaf->cert_pem, strlen(leaf->cert_pem), leaf->key_pem, strlen(leaf->key_pem),
            &all.credential[i]));
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SETS; i++) {
        mldsa_identity_free(all.leaf[i]);
        mldsa_identity_free(all.root[i]);
        milgi_trust_unref(all.trust[i]);
        milgi_credential_unref(all.credential[i]);
    }
    return 0;
}

static void need_mldsa(void)
{
    if (!milgi__mldsa_available())
        skip();
}

/* --- keys and certificates ---------------------------------------------------------------------------------------- */

static void keys_and_certificates_are_read(void **state)
{
    (void)state;
    need_mldsa();
    for (unsigned i = 0; i < SETS; i++) {
        struct milgi__cert_info info;
        const struct mldsa_identity *leaf = all.leaf[i];
        assert_string_equal(milgi_credential_key_type(all.credential[i]), sets[i].name);
        assert_int_equal(all.credential[i]->schemes_n, 1);
        assert_int_equal(all.credential[i]->schemes[0], sets[i].scheme);
        MUST(milgi__cert_info(NULL, leaf->cert_der, leaf->cert_der_len, &info));
        assert_int_equal(info.type, sets[i].type);
        assert_int_equal(info.spki_len, sets[i].spki_len);
        assert_int_equal(info.signed_with, sets[i].scheme);
        assert_true(info.may_sign);
        assert_false(info.costly);
        /*= RFC5929 4.1: "if the certificate's signatureAlgorithm uses no hash functions or uses multiple hash
         *= functions, then this channel binding type's channel bindings are undefined" */
        uint8_t end_point[MILGI__END_POINT_MAX];
        size_t len;
        assert_int_equal(
            milgi__cert_end_point(NULL, leaf->cert_der, leaf->cert_der_len, end_point, &len), MILGI__BAD);
    }
}

static void a_key_that_is_anothers_is_refused(void **state)
{
    (void)state;
    need_mldsa();
    for (unsigned i = 0; i < SETS; i++) {
        struct milgi_credential *credential;
        const char *chain = all.leaf[i]->cert_pem, *others[] = { all.root[i]->key_pem, all.leaf[(i + 1) % 3]->key_pem };
        for (unsigned k = 0; k < 2; k++)
            assert_int_equal(
                milgi_credential_new_pem(chain, strlen(chain), others[k], strlen(others[k]), &credential),
                MILGI_EMISMATCH);
    }
}

/* What libcrypto may have other names for, or none. */
static void where_there_is_none_a_key_is_of_an_unknown_kind(void **state)
{
    static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MDQCAQAwCwYJYIZIAWUDBAMRBCKAICoqKioqKioqKioqKioqKioqKioqKioqKioqKioqKioq\n"
                              "-----END PRIVATE KEY-----\n";
    struct milgi__private_key read;
    struct milgi__pem_fault fault;
    (void)state;
    int rv = milgi__pem_private_key(key, strlen(key), NULL, 0, &read, &fault);
    assert_int_equal(rv, milgi__mldsa_available() ? 0 : MILGI_EUNSUPPORTED);
    if (rv == 0)
        milgi__private_key_clear(&read);
    else
        assert_int_equal(fault.kind, MILGI_PROBLEM_KEY_KIND);
    struct milgi_config *c = milgi_config_new(MILGI_CLIENT);
    assert_int_equal(milgi_config_set_signature_schemes(c, &sets[1].scheme, 1), rv);
    milgi_config_unref(c);
}

static void signatures_verify_and_forged_ones_do_not(void **state)
{
    static const uint8_t message[100] = "what is signed";
    static uint8_t sig[MILGI_SIGNATURE_LONG_MAX];
    (void)state;
    need_mldsa();
    struct milgi__crypto *cx = milgi__crypto_new();
    for (unsigned i = 0; i < SETS; i++) {
        const struct milgi_credential *c = all.credential[i];
        size_t len = sizeof sig, n = sizeof message;
        uint16_t scheme = sets[i].scheme, other = sets[(i + 1) % SETS].scheme;
        struct milgi__pkey *key = milgi__pkey_new(cx, c->pkcs8, c->pkcs8_len);
        MUST(milgi__pkey_sign(cx, key, scheme, message, n, sig, &len));
        assert_int_equal(len, sets[i].sig_len);
        MUST(milgi__verify(cx, c->spki, c->spki_len, scheme, message, n, sig, len));
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len, scheme, message, n, sig, len - 1), MILGI__BAD);
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len, scheme, message, n - 1, sig, len), MILGI__BAD);
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len, other, message, n, sig, len), MILGI__BAD);
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len - 1, scheme, message, n, sig, len), MILGI__BAD);
        sig[len / 2] ^= 1;
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len, scheme, message, n, sig, len), MILGI__BAD);
        assert_int_equal(milgi__pkey_sign(cx, key, other, message, n, sig, &len), MILGI__BROKEN);
        len = sets[i].sig_len - 1u;
        assert_int_equal(milgi__pkey_sign(cx, key, scheme, message, n, sig, &len), MILGI__BROKEN);
        milgi__pkey_free(key);
    }
    milgi__crypto_free(cx);
}

/* An op has no place of its own for it. */
static void an_op_needs_room_for_its_signature(void **state)
{
    static uint8_t room[MILGI_SIGNATURE_LONG_MAX];
    (void)state;
    need_mldsa();
    struct milgi__crypto *cx = milgi__crypto_new();
    for (unsigned i = 0; i < SETS; i++) {
        struct milgi_key key = { .kind = MILGI_KEY_PRIVATE, .loaded.credential = all.credential[i] };
        struct milgi_op op = { .type = MILGI_OP_SIGN, .alg = sets[i].scheme, .key = &key };
        void *loaded = milgi__loaded_new(cx, &key);
        const uint32_t len = sets[i].sig_len, short_len = len - 1;
        assert_non_null(loaded);
        op.u.sign.input_len = 32;
        for (unsigned k = 0; k < 4; k++) {
            bool well = k == 3;
            op.u.sign.blob = (struct milgi_slice){ NULL, k == 0 ? NULL : room, k == 1 ? short_len : len };
            op.u.sign.input_len = k == 2 ? MILGI_SIGN_INPUT_IN_BLOB : 32; /* not both in one place */
            op.device_code = 0;
            milgi__op_perform(cx, &op, loaded);
            assert_int_equal(op.status, well ? MILGI_OP_OK : MILGI_OP_BROKEN);
            assert_int_equal(op.device_code, well ? 0 : MILGI_CODE_MALFORMED);
            assert_ptr_equal(milgi__signature(&op), well ? room : NULL);
        }
        op.u.sign.sig_len++;
        assert_null(milgi__signature(&op)); /* more than there is room for */
        milgi__loaded_free(&key, loaded);
    }
    milgi__crypto_free(cx);
}

static void a_key_can_be_tried_on_devices(void **state)
{
    static const char *const devices[] = { "cpu", "pool:2", "sim:latency=1us", "sim:latency=1us,memory=own" };
    (void)state;
    need_mldsa();
    for (unsigned i = 0; i < MILGI__COUNT(devices) * SETS; i++) {
        struct milgi_device *device;
        const char *why = NULL;
        int code = -1;
        MUST(milgi_device_new(devices[i / SETS], &device, &why));
        MUST(milgi_device_try_key(device, all.credential[i % SETS], &code));
        assert_int_equal(code, 0);
        milgi_device_free(device);
    }
}

/* --- what is offered ---------------------------------------------------------------------------------------------- */

static void it_is_of_tls_13_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SETS; i++) {
        assert_true(milgi__scheme_fits(sets[i].scheme, sets[i].type, true));
        assert_false(milgi__scheme_fits(sets[i].scheme, sets[i].type, false));
        assert_false(milgi__scheme_fits(sets[i].scheme, sets[(i + 1) % SETS].type, true));
        assert_int_equal(milgi_scheme_by_name(sets[i].scheme_name), sets[i].scheme);
        assert_int_equal(milgi__scheme(sets[i].scheme)->long_len, sets[i].sig_len);
        assert_int_equal(milgi__scheme_usable(sets[i].scheme), milgi__mldsa_available());
    }
    need_mldsa();
    struct milgi_config *s = milgi_config_new(MILGI_SERVER);
    MUST(milgi_config_set_versions(s, MILGI_TLS_1_2, MILGI_TLS_1_2));
    MUST(milgi_config_add_credential(s, all.credential[0]));
    assert_int_equal(milgi_config_freeze(s, NULL), MILGI_EINVAL);
    milgi_config_unref(s);
}

static struct milgi_config *begin(enum milgi_role role, unsigned set, bool named)
{
    struct milgi_config *c = milgi_config_new(role);
    if (role == MILGI_CLIENT)
        MUST(milgi_config_set_trust(c, all.trust[set]));
    else
        MUST(milgi_config_add_credential(c, all.credential[set]));
    if (named)
        MUST(milgi_config_set_signature_schemes(c, &sets[set].scheme, 1));
    return c;
}

/* Who is not told which schemes there are verifies with none of these, and signs with them. */
static void a_list_is_what_peers_may_sign_with(void **state)
{
    (void)state;
    need_mldsa();
    struct milgi_config *s = begin(MILGI_SERVER, 1, false), *c = begin(MILGI_SERVER, 1, false);
    static const uint16_t others[] = { MILGI_SIG_ED25519, MILGI_SIG_MLDSA44 };
    MUST(milgi_config_freeze(s, NULL));
    for (unsigned i = 0; i < SETS; i++) {
        assert_false(milgi__list_has(&s->schemes, sets[i].scheme));
        assert_false(milgi__list_has(&s->cert_schemes, sets[i].scheme));
        assert_true(milgi__list_has(&s->signing, sets[i].scheme));
    }
    MUST(milgi_config_set_signature_schemes(c, others, 2));
    assert_int_equal(milgi_config_freeze(c, NULL), MILGI_EINVAL);
    milgi_config_unref(s);
    milgi_config_unref(c);
}

/* Even if it is the one that they have by default. */
static void a_list_that_is_named_leaves_out_what_it_does_not_have(void **state)
{
    (void)state;
    need_mldsa();
    struct milgi_config *s = begin(MILGI_SERVER, 1, false);
    const struct milgi__u16_list usual = s->schemes;
    MUST(milgi_config_set_signature_schemes(s, usual.v, usual.n));
    assert_int_equal(milgi_config_freeze(s, NULL), MILGI_EINVAL);
    MUST(milgi_config_set_policy(s, "modern", NULL));
    MUST(milgi_config_freeze(s, NULL));
    assert_true(milgi__list_has(&s->signing, sets[1].scheme));
    milgi_config_unref(s);
    s = begin(MILGI_SERVER, 1, false);
    MUST(milgi_config_set_policy(s, "modern; schemes=ed25519", NULL));
    assert_int_equal(milgi_config_freeze(s, NULL), MILGI_EINVAL);
    milgi_config_unref(s);
}

static void a_config_that_could_not_be_frozen_signs_with_it_when_it_is_mended(void **state)
{
    (void)state;
    need_mldsa();
    struct milgi_config *s = begin(MILGI_SERVER, 1, false);
    MUST(milgi_config_set_client_auth(s, MILGI_CLIENT_AUTH_REQUIRED));
    assert_int_equal(milgi_config_freeze(s, NULL), MILGI_EINVAL);
    MUST(milgi_config_set_trust(s, all.trust[1]));
    MUST(milgi_config_freeze(s, NULL));
    assert_true(milgi__list_has(&s->signing, sets[1].scheme));
    milgi_config_unref(s);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void meet(struct milgi_config *c, struct milgi_config *s, const char *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000000;
    struct pair_setup setup = { .config = { c, s },
        .device = { device, device },
        .options = &options,
        .server_name = "a.test",
        .seed = 3,
        .wall_s = 1790000000 };
    MUST(milgi_config_freeze(c, NULL));
    MUST(milgi_config_freeze(s, NULL));
    pair_init(&pair, &setup);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static void assert_open(uint16_t scheme)
{
    struct milgi_conn_info info;
    assert_true(client->established);
    assert_true(server->established);
    for (int role = 0; role < 2; role++) {
        milgi_conn_info(pair.side[role].conn, &info);
        assert_int_equal(info.signature_scheme, scheme);
    }
    milgi_conn_info(client->conn, &info);
    assert_true(info.peer_authenticated);
}

static void servers_and_clients_sign_with_it_on_every_device(void **state)
{
    static const char *const devices[] = { NULL, "sim:latency=1us,jitter=3us", "chaos:seed=3" };
    (void)state;
    need_mldsa();
    for (unsigned i = 0; i < SETS * MILGI__COUNT(devices); i++) {
        unsigned set = i % SETS;
        struct milgi_config *c = begin(MILGI_CLIENT, set, true), *s = begin(MILGI_SERVER, set, true);
        struct milgi_conn_info info;
        MUST(milgi_config_add_credential(c, all.credential[set]));
        MUST(milgi_config_set_trust(s, all.trust[set]));
        MUST(milgi_config_set_client_auth(s, MILGI_CLIENT_AUTH_REQUIRED));
        meet(c, s, devices[i / SETS]);
        pair_settle(&pair);
        assert_open(sets[set].scheme);
        milgi_conn_info(server->conn, &info);
        assert_true(info.peer_authenticated);
        pair_fini(&pair);
    }
}

static void by_default_a_client_takes_none(void **state)
{
    (void)state;
    need_mldsa();
    meet(begin(MILGI_CLIENT, 0, false), begin(MILGI_SERVER, 0, false), NULL);
    pair_settle(&pair);
    assert_int_equal(server->reason.error, MILGI_ENEGOTIATE);
    assert_int_equal(server->reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    pair_fini(&pair);
    /* The server's own list is what its clients may sign with. */
    meet(begin(MILGI_CLIENT, 0, true), begin(MILGI_SERVER, 0, false), NULL);
    pair_settle(&pair);
    assert_open(sets[0].scheme);
    pair_fini(&pair);
}

static void in_tls_12_no_credential_of_it_fits(void **state)
{
    static const uint16_t both[] = { MILGI_SIG_MLDSA65, MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    (void)state;
    need_mldsa();
    struct milgi_config *c = begin(MILGI_CLIENT, 1, false), *s = begin(MILGI_SERVER, 1, false);
    MUST(milgi_config_set_signature_schemes(c, both, 2));
    MUST(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_2));
    MUST(milgi_config_set_versions(s, MILGI_TLS_1_2, MILGI_TLS_1_3));
    meet(c, s, NULL);
    pair_settle(&pair);
    assert_int_equal(server->reason.error, MILGI_ENEGOTIATE);
    assert_int_equal(server->reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    pair_fini(&pair);
}

/* The signature lies in a chunk, which has to be where the device writes. */
static void a_device_signs_only_where_it_reaches_the_signature(void **state)
{
    (void)state;
    need_mldsa();
    for (unsigned i = 0; i < 2 * SETS; i++) {
        unsigned set = i / 2, own = i % 2;
        struct milgi_engine_stats stats;
        meet(begin(MILGI_CLIENT, set, true), begin(MILGI_SERVER, set, false), NULL);
        MUST(milgi_device_new("sim:latency=1us,memory=own", &server->device[0], NULL));
        server->devices_n = 1;
        assert_int_equal(milgi_engine_add_device(server->engine, server->device[0]), 1);
        MUST(milgi_engine_use_memory(server->engine, own));
        MUST(milgi_engine_route(server->engine, MILGI_OP_BIT(MILGI_OP_SIGN), 1, 0));
        pair_settle(&pair);
        assert_open(sets[set].scheme);
        milgi_engine_stats(server->engine, &stats);
        assert_int_equal(stats.device[1].submitted[MILGI_OP_SIGN], own);
        assert_int_equal(stats.device[0].submitted[MILGI_OP_SIGN], !own);
        assert_int_equal(stats.device[1].broken, 0);
        pair_fini(&pair);
    }
}

/* The server's SIGN, at a device that is not trusted. */
static struct milgi_op *sign_elsewhere(unsigned set)
{
    struct milgi_op *op = NULL;
    meet(begin(MILGI_CLIENT, set, true), begin(MILGI_SERVER, set, false), NULL);
    MUST(milgi_device_new("sim:manual", &server->device[0], NULL));
    server->devices_n = 1;
    server->device[0]->caps.flags &= ~(uint32_t)(MILGI_CAP_LIBCRYPTO | MILGI_CAP_TESTED);
    assert_int_equal(milgi_engine_add_device(server->engine, server->device[0]), 1);
    MUST(milgi_engine_route(server->engine, MILGI_OP_BIT(MILGI_OP_SIGN), 1, 0));
    pair_settle_until(&pair, pair.now_ns + 1000000);
    assert_int_equal(milgi__sim_pending(server->device[0], &op, 1), 1);
    assert_int_equal(op->u.sign.blob.len, sets[set].sig_len);
    return op;
}

/* Wrongly signed: what was made is looked at in its own place, and made again there. */
static void a_wrong_signature_is_made_again(void **state)
{
    (void)state;
    need_mldsa();
    for (unsigned set = 0; set < SETS; set++) {
        struct milgi_op *op = sign_elsewhere(set);
        milgi__sim_finish(server->device[0], 0, MILGI_OP_OK);
        assert_int_equal(op->u.sign.sig_len, sets[set].sig_len);
        op->u.sign.blob.data[op->u.sign.sig_len / 2] ^= 1;
        pair_settle(&pair);
        struct milgi_engine_stats stats;
        milgi_engine_stats(server->engine, &stats);
        assert_int_equal(stats.device[1].broken, 1);
        assert_int_equal(stats.device[1].rerun, 1);
        assert_open(sets[set].scheme);
        pair_fini(&pair);
    }
}

/* The device may write to its own place for as long as it likes: the signature that is sent lies in another. */
static void a_signature_that_is_late_is_made_in_another_place(void **state)
{
    (void)state;
    need_mldsa();
    for (unsigned set = 0; set < SETS; set++) {
        struct milgi_op *op = sign_elsewhere(set);
        memset(op->u.sign.blob.data, 0xee, op->u.sign.blob.len);
        pair_settle(&pair);
        struct milgi_engine_stats stats;
        milgi_engine_stats(server->engine, &stats);
        assert_true(stats.device[1].lost >= 1); /* and probes of the device */
        assert_open(sets[set].scheme);
        for (size_t i = 0; i < op->u.sign.blob.len; i++)
            assert_int_equal(op->u.sign.blob.data[i], 0xee);
        milgi__sim_finish(server->device[0], 0, MILGI_OP_OK);
        pair_settle(&pair);
        pair_fini(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_certificates_are_read),
        cmocka_unit_test(a_key_that_is_anothers_is_refused),
        cmocka_unit_test(where_there_is_none_a_key_is_of_an_unknown_kind),
        cmocka_unit_test(signatures_verify_and_forged_ones_do_not),
        cmocka_unit_test(an_op_needs_room_for_its_signature),
        cmocka_unit_test(a_key_can_be_tried_on_devices),
        cmocka_unit_test(it_is_of_tls_13_alone),
        cmocka_unit_test(a_list_is_what_peers_may_sign_with),
        cmocka_unit_test(a_list_that_is_named_leaves_out_what_it_does_not_have),
        cmocka_unit_test(a_config_that_could_not_be_frozen_signs_with_it_when_it_is_mended),
        cmocka_unit_test(servers_and_clients_sign_with_it_on_every_device),
        cmocka_unit_test(a_device_signs_only_where_it_reaches_the_signature),
        cmocka_unit_test(by_default_a_client_takes_none),
        cmocka_unit_test(in_tls_12_no_credential_of_it_fits),
        cmocka_unit_test(a_wrong_signature_is_made_again),
        cmocka_unit_test(a_signature_that_is_late_is_made_in_another_place),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
