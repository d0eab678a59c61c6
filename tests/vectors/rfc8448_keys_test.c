/* SPDX-License-Identifier: Apache-2.0 */
/* Key schedule, transcript, Finished, traffic keys and records against the traces of RFC 8448. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cx.h"
#include "crypto/aead.h"
#include "crypto/kex.h"
#include "keys/keys.h"
#include "rfc8448.h"

#define C RFC8448_CLIENT
#define S RFC8448_SERVER

static const struct milgi__suite suite = {
    .id = MILGI_SUITE_AES_128_GCM_SHA256,
    .hash = MILGI__SHA256,
    .key_len = 16,
    .record_limit = 1,
};

static void same(const struct rfc8448_trace *trace, enum rfc8448_who who, const char *what, const char *name,
    const uint8_t *bytes)
{
    struct rfc8448_bytes want = rfc8448_get(trace, who, what, name, 0);
    assert_memory_equal(bytes, want.data, want.len);
}

static void add(struct milgi__transcript *t, struct rfc8448_bytes message)
{
    assert_int_equal(milgi__transcript_add(t, message.data, message.len), 0);
}

/* Both hellos, or all four. */
static void add_hellos(const struct rfc8448_trace *trace, struct milgi__transcript *t)
{
    add(t, rfc8448_get(trace, C, "message", "ClientHello", 0));
    assert_int_equal(milgi__transcript_start(t, cx, MILGI__SHA256), 0);
    if (rfc8448_find(trace, C, "message", "ClientHello", 1)) {
        assert_int_equal(milgi__transcript_retry(t, cx), 0);
        add(t, rfc8448_get(trace, S, "message", "ServerHello", 0));
        add(t, rfc8448_get(trace, C, "message", "ClientHello", 1));
        add(t, rfc8448_get(trace, S, "message", "ServerHello", 1));
    } else {
        add(t, rfc8448_get(trace, S, "message", "ServerHello", 0));
    }
}

/* |who|'s messages behind the hellos up to, or with, its Finished. */
static void add_flight(const struct rfc8448_trace *trace, struct milgi__transcript *t, enum rfc8448_who who)
{
    static const char *const order[] = { "EncryptedExtensions", "CertificateRequest", "Certificate",
        "CertificateVerify" };
    for (size_t i = 0; i < MILGI__COUNT(order); i++) {
        if (rfc8448_find(trace, who, "message", order[i], 0))
            add(t, rfc8448_get(trace, who, "message", order[i], 0));
    }
}

static void check_finished(const struct rfc8448_trace *trace, struct milgi__transcript *t, enum rfc8448_who who,
    const uint8_t *base)
{
    uint8_t hash[MILGI__HASH_MAX], mac[MILGI__HASH_MAX];
    add_flight(trace, t, who);
    assert_int_equal(milgi__transcript_hash(t, cx, hash), 0);
    assert_int_equal(milgi__finished_mac(cx, MILGI__SHA256, base, hash, mac), 0);
    same(trace, who, "verify_data", "", mac);
    add(t, rfc8448_get(trace, who, "message", "Finished", 0));
}

static void check_traffic_keys(const struct rfc8448_trace *trace, enum rfc8448_who who, const char *name,
    const uint8_t *secret)
{
    uint8_t key[32], iv[12];
    assert_int_equal(milgi__traffic_keys(cx, &suite, secret, key, iv), 0);
    same(trace, who, "key", name, key);
    same(trace, who, "iv", name, iv);
}

static void check_schedule(const struct rfc8448_trace *trace)
{
    struct milgi__transcript t = { 0 };
    struct milgi__schedule13 s;
    uint8_t hash[MILGI__HASH_MAX];
    assert_int_equal(milgi__schedule13_early(&s, cx, MILGI__SHA256, NULL, 0), 0);
    same(trace, S, "secret", "early", s.current);

    add_hellos(trace, &t);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    same(trace, S, "hash", "c hs traffic", hash);
    struct rfc8448_bytes shared = rfc8448_get(trace, S, "ikm", "handshake", 0);
    assert_int_equal(milgi__schedule13_handshake(&s, cx, shared.data, shared.len, hash), 0);
    same(trace, S, "secret", "handshake", s.current);
    same(trace, S, "secret", "c hs traffic", s.client_hs);
    same(trace, S, "secret", "s hs traffic", s.server_hs);
    check_traffic_keys(trace, S, "write handshake", s.server_hs);
    check_traffic_keys(trace, S, "read handshake", s.client_hs);

    check_finished(trace, &t, S, s.server_hs);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    same(trace, S, "hash", "exp master", hash);
    assert_int_equal(milgi__schedule13_master(&s, cx, hash), 0);
    same(trace, S, "secret", "master", s.current);
    same(trace, S, "secret", "c ap traffic", s.client_app);
    same(trace, S, "secret", "s ap traffic", s.server_app);
    same(trace, S, "secret", "exp master", s.exporter);
    check_traffic_keys(trace, S, "write application", s.server_app);
    check_traffic_keys(trace, C, "write application", s.client_app);

    check_finished(trace, &t, C, s.client_hs);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    same(trace, C, "hash", "res master", hash);
    assert_int_equal(milgi__schedule13_resumption(&s, cx, hash), 0);
    same(trace, C, "secret", "res master", s.resumption);
    milgi__transcript_free(&t);
}

static void schedule_of_the_simple_handshake_is_that_of_the_rfc(void **state)
{
    (void)state;
    check_schedule(&rfc8448_traces[0]);
}

static void schedule_after_hello_retry_request_is_that_of_the_rfc(void **state)
{
    (void)state;
    check_schedule(&rfc8448_traces[1]);
}

static void schedule_with_client_authentication_is_that_of_the_rfc(void **state)
{
    (void)state;
    check_schedule(&rfc8448_traces[2]);
}

static void schedule_in_compatibility_mode_is_that_of_the_rfc(void **state)
{
    (void)state;
    check_schedule(&rfc8448_traces[3]);
}

static void both_sides_of_the_key_exchange_give_the_secret_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i <= MILGI__COUNT(rfc8448_traces); i++) {
        bool last = i == MILGI__COUNT(rfc8448_traces);
        const struct rfc8448_trace *trace = last ? &rfc8448_resumed : &rfc8448_traces[i];
        struct rfc8448_bytes private = rfc8448_get(trace, S, "private", NULL, 0);
        const char *name = rfc8448_find(trace, S, "private", NULL, 0)->name;
        struct rfc8448_bytes peer = rfc8448_get(trace, C, "public", name, 0);
        uint16_t group = strcmp(name, "P-256") == 0 ? MILGI_GROUP_SECP256R1 : MILGI_GROUP_X25519;
        uint8_t shared[MILGI_KEX_SECRET_MAX];
        for (int side = 0; side < 2; side++) {
            size_t len = sizeof shared;
            assert_int_equal(
                milgi__kex_derive(cx, group, private.data, private.len, peer.data, peer.len, shared, &len), 0);
            assert_int_equal(len, 32);
            same(trace, S, "ikm", "handshake", shared);
            private = rfc8448_get(trace, C, "private", name, 0);
            peer = rfc8448_get(trace, S, "public", name, 0);
        }
    }
}

static void resumption_secret_of_a_ticket_is_that_of_the_rfc(void **state)
{
    (void)state;
    const struct rfc8448_trace *trace = &rfc8448_traces[0];
    struct rfc8448_bytes master = rfc8448_get(trace, C, "secret", "res master", 0);
    struct rfc8448_bytes nonce = rfc8448_get(trace, S, "hash", "resumption", 0);
    uint8_t secret[32];
    assert_int_equal(
        milgi__resumption_psk(cx, MILGI__SHA256, master.data, nonce.data, nonce.len, secret), 0);
    same(trace, S, "secret", "resumption", secret);
}

/* Early data is nobody's here: its derivations and keys are those of all other secrets. The exporter is ours. */
static void check_early(const struct rfc8448_trace *trace, const uint8_t *early, const uint8_t *hello_hash)
{
    uint8_t secret[MILGI__HASH_MAX];
    assert_int_equal(
        milgi__hkdf_expand_label(cx, MILGI__SHA256, early, "c e traffic", hello_hash, 32, secret, 32), 0);
    same(trace, C, "secret", "c e traffic", secret);
    check_traffic_keys(trace, C, "write early", secret);
    struct rfc8448_bytes psk = rfc8448_get(trace, C, "ikm", "early", 0);
    assert_int_equal(milgi__early_exporter(cx, MILGI__SHA256, NULL, 0, early, hello_hash, secret), 0);
    same(trace, C, "secret", "e exp master", secret);
    memset(secret, 0, sizeof secret);
    assert_int_equal(milgi__early_exporter(cx, MILGI__SHA256, psk.data, psk.len, NULL, hello_hash, secret), 0);
    same(trace, C, "secret", "e exp master", secret);
}

static void schedule_of_the_resumed_handshake_is_that_of_the_rfc(void **state)
{
    (void)state;
    const struct rfc8448_trace *trace = &rfc8448_resumed;
    struct milgi__transcript t = { 0 };
    struct milgi__schedule13 s;
    uint8_t hash[MILGI__HASH_MAX], binder[MILGI__HASH_MAX];
    struct rfc8448_bytes psk = rfc8448_get(&rfc8448_traces[0], S, "secret", "resumption", 0);
    struct rfc8448_bytes prefix = rfc8448_get(trace, C, "prefix", "", 0);
    struct rfc8448_bytes hello = rfc8448_get(trace, C, "payload", "handshake", 0);
    same(trace, C, "ikm", "early", psk.data);
    assert_int_equal(milgi__transcript_hash_with(&t, cx, MILGI__SHA256, prefix.data, prefix.len, hash), 0);
    same(trace, C, "binder hash", "", hash);
    assert_int_equal(
        milgi__binder(cx, MILGI__SHA256, MILGI__BINDER_RESUMPTION, psk.data, psk.len, hash, binder), 0);
    same(trace, C, "binder", "", binder);
    assert_memory_equal(hello.data + hello.len - 32, binder, 32);
    assert_int_equal(milgi__schedule13_early(&s, cx, MILGI__SHA256, psk.data, psk.len), 0);
    same(trace, C, "secret", "early", s.current);

    add(&t, hello);
    assert_int_equal(milgi__transcript_start(&t, cx, MILGI__SHA256), 0);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    same(trace, C, "hash", "c e traffic", hash);
    check_early(trace, s.current, hash);
    add(&t, rfc8448_get(trace, S, "message", "ServerHello", 0));
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    struct rfc8448_bytes shared = rfc8448_get(trace, S, "ikm", "handshake", 0);
    assert_int_equal(milgi__schedule13_handshake(&s, cx, shared.data, shared.len, hash), 0);
    same(trace, S, "secret", "handshake", s.current);
    same(trace, S, "secret", "c hs traffic", s.client_hs);
    same(trace, S, "secret", "s hs traffic", s.server_hs);
    check_traffic_keys(trace, S, "write handshake", s.server_hs);
    check_traffic_keys(trace, C, "write handshake", s.client_hs);
    check_finished(trace, &t, S, s.server_hs);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    assert_int_equal(milgi__schedule13_master(&s, cx, hash), 0);
    same(trace, S, "secret", "master", s.current);
    same(trace, S, "secret", "c ap traffic", s.client_app);
    same(trace, S, "secret", "s ap traffic", s.server_app);
    same(trace, S, "secret", "exp master", s.exporter);
    check_traffic_keys(trace, S, "write application", s.server_app);
    check_traffic_keys(trace, C, "write application", s.client_app);
    add(&t, rfc8448_get(trace, C, "message", "EndOfEarlyData", 0));
    check_finished(trace, &t, C, s.client_hs);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), 0);
    assert_int_equal(milgi__schedule13_resumption(&s, cx, hash), 0);
    same(trace, C, "secret", "res master", s.resumption);
    milgi__transcript_free(&t);
}

/* --- records ---------------------------------------------------------------------------------------------------- */

struct key {
    struct rfc8448_bytes raw, iv;
    uint64_t serial, seq;
};

static struct key load(const struct rfc8448_trace *trace, enum rfc8448_who who, const char *name)
{
    static uint64_t serial;
    return (struct key){ rfc8448_get(trace, who, "key", name, 0), rfc8448_get(trace, who, "iv", name, 0), ++serial,
        0 };
}

/* Seals the payload and opens the record; returns false if the record is none under this key. */
static bool check_record(struct key *key, struct rfc8448_bytes record, struct rfc8448_bytes payload, uint8_t type)
{
    struct milgi__aead_key aead = { key->serial, MILGI_SUITE_AES_128_GCM_SHA256, 16, key->raw.data };
    uint8_t nonce[12], out[1024];
    memcpy(nonce, key->iv.data, sizeof nonce);
    nonce[11] = (uint8_t)(nonce[11] ^ key->seq);
    size_t inner = record.len - 5 - 16;
    assert_int_equal(inner, payload.len + 1);
    struct milgi__piece cipher = { record.data + 5, inner };
    if (milgi__aead_open(cx, &aead, nonce, record.data, 5, &cipher, 1, record.data + 5 + inner, out) != 0)
        return false;
    assert_memory_equal(out, payload.data, payload.len);
    assert_int_equal(out[payload.len], type);
    struct milgi__piece plain = { payload.data, payload.len };
    assert_int_equal(milgi__aead_seal(cx, &aead, nonce, record.data, 5, &plain, 1, type, 0, out), 0);
    assert_memory_equal(out, record.data + 5, inner + 16);
    key->seq++;
    return true;
}

static uint8_t type_of(const char *name)
{
    if (strcmp(name, "handshake") == 0)
        return 22;
    return strcmp(name, "alert") == 0 ? 21 : 23;
}

/* All records of one side: handshake keys first, once those no longer fit the application's. Returns how many. */
static unsigned check_records(const struct rfc8448_trace *trace, enum rfc8448_who who)
{
    struct key handshake = load(trace, S, who == S ? "write handshake" : "read handshake");
    struct key application = load(trace, who, "write application");
    unsigned n = 0;
    for (unsigned nth = 0; rfc8448_find(trace, who, "record", NULL, nth); nth++) {
        const char *name = rfc8448_find(trace, who, "record", NULL, nth)->name;
        struct rfc8448_bytes record = rfc8448_get(trace, who, "record", NULL, nth);
        struct rfc8448_bytes payload = rfc8448_get(trace, who, "payload", NULL, nth);
        if (record.data[0] != 23) {
            assert_memory_equal(record.data + 5, payload.data, payload.len);
            continue;
        }
        if (n == 0 || application.seq == 0) {
            if (check_record(&handshake, record, payload, type_of(name))) {
                n++;
                continue;
            }
        }
        assert_true(check_record(&application, record, payload, type_of(name)));
        n++;
    }
    assert_int_equal(handshake.seq, 1);
    return n;
}

static void records_seal_and_open_to_the_bytes_of_the_rfc(void **state)
{
    (void)state;
    static const unsigned from_client[] = { 3, 2, 2, 2 }, from_server[] = { 4, 2, 2, 2 };
    for (size_t i = 0; i < MILGI__COUNT(rfc8448_traces); i++) {
        assert_int_equal(check_records(&rfc8448_traces[i], C), from_client[i]);
        assert_int_equal(check_records(&rfc8448_traces[i], S), from_server[i]);
    }
}

static void check_each(const struct rfc8448_trace *trace, enum rfc8448_who who, struct key *const *keys, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct rfc8448_bytes record = rfc8448_get(trace, who, "record", NULL, i);
        struct rfc8448_bytes payload = rfc8448_get(trace, who, "payload", NULL, i);
        const char *name = rfc8448_find(trace, who, "record", NULL, i)->name;
        if (keys[i])
            assert_true(check_record(keys[i], record, payload, type_of(name)));
        else
            assert_memory_equal(record.data + 5, payload.data, payload.len);
    }
    assert_null(rfc8448_find(trace, who, "record", NULL, n));
}

static void records_of_the_resumed_handshake_are_those_of_the_rfc(void **state)
{
    (void)state;
    const struct rfc8448_trace *trace = &rfc8448_resumed;
    struct key early = load(trace, C, "write early");
    struct key handshake[2] = { load(trace, C, "write handshake"), load(trace, S, "write handshake") };
    struct key application[2] = { load(trace, C, "write application"), load(trace, S, "write application") };
    check_each(trace, C,
        (struct key *[]){ NULL, &early, &early, &handshake[0], &application[0], &application[0] }, 6);
    check_each(trace, S, (struct key *[]){ NULL, &handshake[1], &application[1], &application[1] }, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedule_of_the_simple_handshake_is_that_of_the_rfc),
        cmocka_unit_test(schedule_after_hello_retry_request_is_that_of_the_rfc),
        cmocka_unit_test(schedule_with_client_authentication_is_that_of_the_rfc),
        cmocka_unit_test(schedule_in_compatibility_mode_is_that_of_the_rfc),
        cmocka_unit_test(both_sides_of_the_key_exchange_give_the_secret_of_the_rfc),
        cmocka_unit_test(resumption_secret_of_a_ticket_is_that_of_the_rfc),
        cmocka_unit_test(schedule_of_the_resumed_handshake_is_that_of_the_rfc),
        cmocka_unit_test(records_seal_and_open_to_the_bytes_of_the_rfc),
        cmocka_unit_test(records_of_the_resumed_handshake_are_those_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, cx_open, cx_close);
}
