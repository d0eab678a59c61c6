/* SPDX-License-Identifier: Apache-2.0 */
/* Key schedule with a PSK and for SHA-384, exporters, transcript, key log. The numbers come from another program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cx.h"
#include "keys/keys.h"

struct answer {
    enum milgi__hash hash;
    size_t len;
    const char *client_app, *server_hs, *resumption, *exporter, *exported, *exported_empty, *next;
};

/* PSK 00 01 02.., shared secret 64 65 66.., transcript hashes 01 01.., 02 02.. and 03 03.. */
static const struct answer answers[] = {
    { MILGI__SHA256, 32,
        "d70ed7f5eb2605c42b909e96a149f7c9d0092cd5e85e2d2ec3e5812cf74c5dd3",
        "9b8d58821833cfcd93c11a468b4a95f6757114734e009e48d4d52b9099cda656",
        "71b9b9c8a85d04d7e74574ef71bce72d0980b72d726f88c35f93edc9c9ef4bc4",
        "eaf06dc467b198f5b80f9ef9220b7fc893e7b5f3274b19d33db2401cb00797b6",
        "5c7e939fd2723a187fc3d287a34b60bbc8f424bfd5bf91ff7e3f09ab982cbd7260cea34f1e58fe0af01a1915c63bb9f7"
        "137eccbb1e2aa364af0b0baf438ab95bb322ea6de6cf3f6f6a72389a2e48d37bd1318d1b44f490f3576c1fe6ecb6d2a8"
        "7b095fca",
        "96b6d548940021d15b71a9ef1ed530ee",
        "1b89c329ea6a8a28209a616aa8eb07d7f314f88930a5b52b22b00ab7ea635d25" },
    { MILGI__SHA384, 48,
        "9386b56dc511fe99c107dac55fb529bfe01fc0a74fcfecfb85bd9ecfdeceaed28c22140591c92a8c0c22dc406977accb",
        "2024b2915f9fdb855d00a731c2b46dcd2c5d66c5cc3d5fffcc922c0b5e9d48803bd01ef9c3c685797c80c822e6b360fc",
        "0c4e6e38d359bcf2299bb75e08f37c7b0dd855931be421ac0845d1c6eaf833fcb75a569dfbd9a353cecb313796b57a2e",
        "64962b929aabe5c83a116b2bff3b55deff1227eaaeecc430508dbfcdf0141f29afbe7ec38bd9e4054bcb7555b3d44c8a",
        "a1fe7719fac7f5a0ee0d928e0677aceae0085e499db95e864ee0b8ca9aecb9799d4e8df3be906665264d6bdc0e6d20a9"
        "8dc86948ee7a874a1eec655580a75012ad500caa6d0ebd00a3bd975a66563126b416ea9bcf83645bf7dd331337483acc"
        "fe0a083b",
        "c20c0aed2fc12022614ee84d304d5231",
        "722f097263a8210e30c8278e5d9be4b64aba9936577fbe31611f185d16a787255aa70fcb8a24f8a3ff742ef12f181563" },
};

static void is_hex(const uint8_t *bytes, const char *hex)
{
    char text[512];
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    text[2 * n] = 0;
    assert_string_equal(text, hex);
}

static void count_up(uint8_t *p, size_t len, unsigned from)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(from + i);
}

static void schedule_with_a_psk_gives_the_known_secrets(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(answers); i++) {
        const struct answer *a = &answers[i];
        struct milgi__schedule13 s;
        uint8_t psk[48], shared[32], hash[48];
        count_up(psk, a->len, 0);
        count_up(shared, sizeof shared, 100);
        assert_int_equal(milgi__schedule13_early(&s, cx, a->hash, psk, a->len), 0);
        memset(hash, 1, sizeof hash);
        assert_int_equal(milgi__schedule13_handshake(&s, cx, shared, sizeof shared, hash), 0);
        is_hex(s.server_hs, a->server_hs);
        memset(hash, 2, sizeof hash);
        assert_int_equal(milgi__schedule13_master(&s, cx, hash), 0);
        is_hex(s.client_app, a->client_app);
        is_hex(s.exporter, a->exporter);
        memset(hash, 3, sizeof hash);
        assert_int_equal(milgi__schedule13_resumption(&s, cx, hash), 0);
        is_hex(s.resumption, a->resumption);
    }
}

static void resumption_erases_the_master_secret(void **state)
{
    (void)state;
    struct milgi__schedule13 s;
    uint8_t hash[48] = { 1 }, master[48];
    assert_int_equal(milgi__schedule13_early(&s, cx, MILGI__SHA384, NULL, 0), 0);
    assert_int_equal(milgi__schedule13_handshake(&s, cx, hash, 32, hash), 0);
    assert_int_equal(milgi__schedule13_master(&s, cx, hash), 0);
    memcpy(master, s.current, sizeof master);
    assert_ptr_equal(memmem(&s, sizeof s, master, 8), s.current);
    assert_int_equal(milgi__schedule13_resumption(&s, cx, hash), 0);
    assert_null(memmem(&s, sizeof s, master, 8));
}

static void constants_of_the_schedule_are_what_computing_them_gives(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(answers); i++) {
        const struct answer *a = &answers[i];
        struct milgi__schedule13 known, computed;
        uint8_t zero[48] = { 0 }, empty[48], salt[48], early[48], handshake[48], master[48], shared[32] = { 7 };
        assert_int_equal(milgi__hmac(cx, a->hash, zero, a->len, zero, a->len, early), 0);
        assert_int_equal(milgi__schedule13_early(&known, cx, a->hash, NULL, 0), 0);
        assert_memory_equal(known.current, early, a->len);
        assert_int_equal(milgi__schedule13_early(&computed, cx, a->hash, zero, a->len), 0);
        assert_memory_equal(computed.current, early, a->len);

        assert_int_equal(milgi__hash(cx, a->hash, "", 0, empty), 0);
        assert_int_equal(
            milgi__hkdf_expand_label(cx, a->hash, early, "derived", empty, a->len, salt, a->len), 0);
        assert_int_equal(milgi__hmac(cx, a->hash, salt, a->len, shared, sizeof shared, handshake), 0);
        assert_int_equal(milgi__schedule13_handshake(&known, cx, shared, sizeof shared, zero), 0);
        assert_memory_equal(known.current, handshake, a->len);

        assert_int_equal(
            milgi__hkdf_expand_label(cx, a->hash, handshake, "derived", empty, a->len, salt, a->len), 0);
        assert_int_equal(milgi__hmac(cx, a->hash, salt, a->len, zero, a->len, master), 0);
        assert_int_equal(milgi__schedule13_master(&known, cx, zero), 0);
        assert_memory_equal(known.current, master, a->len);
    }
}

static void unhex(const char *hex, uint8_t *out)
{
    for (; *hex; hex += 2) {
        unsigned v = 0;
        for (int i = 0; i < 2; i++)
            v = v << 4 | (unsigned)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
        *out++ = (uint8_t)v;
    }
}

static void exporter_gives_the_known_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(answers); i++) {
        const struct answer *a = &answers[i];
        uint8_t secret[48], out[100];
        unhex(a->exporter, secret);
        assert_int_equal(
            milgi__export13(cx, a->hash, secret, "EXPERIMENTAL label", "context", 7, out, sizeof out), 0);
        is_hex(out, a->exported);
        /*= RFC8446 7.5: "providing no context computes the same value as providing an empty context" */
        assert_int_equal(milgi__export13(cx, a->hash, secret, "EXPERIMENTAL label", NULL, 0, out, 16), 0);
        is_hex(out, a->exported_empty);
        assert_int_equal(milgi__export13(cx, a->hash, secret, "EXPERIMENTAL label", "", 0, out, 16), 0);
        is_hex(out, a->exported_empty);
    }
}

static void exporter_refuses_what_hkdf_cannot_do(void **state)
{
    (void)state;
    static uint8_t out[255 * 32 + 1];
    uint8_t secret[32] = { 1 };
    char label[251];
    memset(label, 'x', sizeof label);
    label[250] = 0;
    assert_int_equal(milgi__export13(cx, MILGI__SHA256, secret, label, NULL, 0, out, 16), MILGI_EINVAL);
    label[249] = 0;
    assert_int_equal(milgi__export13(cx, MILGI__SHA256, secret, label, NULL, 0, out, 16), 0);
    assert_int_equal(milgi__export13(cx, MILGI__SHA256, secret, "", NULL, 0, out, 16), MILGI_EINVAL);
    assert_int_equal(milgi__export13(cx, MILGI__SHA256, secret, "a", NULL, 0, out, 0), MILGI_EINVAL);
    assert_int_equal(milgi__export13(cx, MILGI__SHA256, secret, "a", NULL, 0, out, sizeof out), MILGI_EINVAL);
    assert_int_equal(milgi__export13(cx, MILGI__SHA256, secret, "a", NULL, 0, out, sizeof out - 1), 0);
}

static void next_secret_replaces_the_one_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(answers); i++) {
        uint8_t secret[48];
        unhex(answers[i].exporter, secret);
        assert_int_equal(milgi__next_secret(cx, answers[i].hash, secret), 0);
        is_hex(secret, answers[i].next);
    }
}

/* --- transcript ------------------------------------------------------------------------------------------------- */

static void transcript_hashes_what_came_before_its_hash_was_known(void **state)
{
    (void)state;
    for (int hash = MILGI__SHA256; hash <= MILGI__SHA384; hash++) {
        struct milgi__transcript t = { 0 };
        uint8_t got[MILGI__HASH_MAX], want[MILGI__HASH_MAX];
        assert_int_equal(milgi__transcript_add(&t, "first", 5), 0);
        assert_int_equal(milgi__transcript_add(&t, "", 0), 0);
        assert_int_equal(milgi__transcript_add(&t, "second", 6), 0);
        assert_int_equal(milgi__transcript_start(&t, cx, (enum milgi__hash)hash), 0);
        assert_null(t.early);
        assert_int_equal(milgi__transcript_add(&t, "third", 5), 0);
        assert_int_equal(milgi__transcript_hash(&t, cx, got), 0);
        assert_int_equal(milgi__hash(cx, (enum milgi__hash)hash, "firstsecondthird", 16, want), 0);
        assert_memory_equal(got, want, milgi__hash_len((enum milgi__hash)hash));
        assert_int_equal(milgi__transcript_hash(&t, cx, got), 0); /* and again: it goes on */
        assert_memory_equal(got, want, milgi__hash_len((enum milgi__hash)hash));
        milgi__transcript_free(&t);
    }
}

static void transcript_replaces_the_first_hello_by_its_hash(void **state)
{
    (void)state;
    struct milgi__transcript t = { 0 };
    uint8_t got[MILGI__HASH_MAX], want[MILGI__HASH_MAX], text[4 + 48 + 4] = { 254, 0, 0, 48 };
    assert_int_equal(milgi__transcript_add(&t, "hello", 5), 0);
    assert_int_equal(milgi__transcript_start(&t, cx, MILGI__SHA384), 0);
    assert_int_equal(milgi__transcript_retry(&t, cx), 0);
    assert_int_equal(milgi__transcript_add(&t, "more", 4), 0);
    assert_int_equal(milgi__hash(cx, MILGI__SHA384, "hello", 5, text + 4), 0);
    memcpy(text + 52, "more", 4);
    assert_int_equal(milgi__hash(cx, MILGI__SHA384, text, sizeof text, want), 0);
    assert_int_equal(milgi__transcript_hash(&t, cx, got), 0);
    assert_memory_equal(got, want, 48);
    milgi__transcript_free(&t);
}

static void transcript_without_a_hash_has_no_value(void **state)
{
    (void)state;
    struct milgi__transcript t = { 0 };
    uint8_t hash[MILGI__HASH_MAX];
    assert_int_equal(milgi__transcript_add(&t, "hello", 5), 0);
    assert_int_equal(milgi__transcript_hash(&t, cx, hash), MILGI_EINTERNAL);
    assert_int_equal(milgi__transcript_retry(&t, cx), MILGI_EINTERNAL);
    assert_int_equal(milgi__transcript_start(&t, cx, MILGI__SHA256), 0);
    assert_int_equal(milgi__transcript_start(&t, cx, MILGI__SHA256), MILGI_EINTERNAL);
    milgi__transcript_free(&t);
    milgi__transcript_free(&t);
}

static bool always(void)
{
    return true;
}

static void transcript_survives_the_lack_of_memory(void **state)
{
    (void)state;
    struct milgi__transcript t = { 0 };
    uint8_t got[MILGI__HASH_MAX], want[MILGI__HASH_MAX];
    assert_int_equal(milgi__transcript_add(&t, "hello", 5), 0);
    milgi__mem_fail = always;
    assert_int_equal(milgi__transcript_add(&t, "more", 4), MILGI_ENOMEM);
    assert_int_equal(milgi__transcript_start(&t, cx, MILGI__SHA256), MILGI_ENOMEM);
    milgi__mem_fail = NULL;
    assert_int_equal(milgi__transcript_start(&t, cx, MILGI__SHA256), 0);
    milgi__mem_fail = always;
    assert_int_equal(milgi__transcript_retry(&t, cx), MILGI_ENOMEM);
    milgi__mem_fail = NULL;
    assert_int_equal(milgi__transcript_hash(&t, cx, got), 0);
    assert_int_equal(milgi__hash(cx, MILGI__SHA256, "hello", 5, want), 0);
    assert_memory_equal(got, want, 32);
    milgi__transcript_free(&t);
}

/* --- key log ---------------------------------------------------------------------------------------------------- */

static void key_log_line_has_label_random_and_secret(void **state)
{
    (void)state;
    char line[128];
    uint8_t random[32], secret[4] = { 0xde, 0xad, 0xbe, 0xef };
    count_up(random, sizeof random, 0xf0);
    static const char want[] =
        "EXPORTER_SECRET f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff000102030405060708090a0b0c0d0e0f deadbeef";
    assert_int_equal(
        milgi__keylog_line(line, sizeof line, "EXPORTER_SECRET", random, secret, sizeof secret), strlen(want));
    assert_string_equal(line, want);
    assert_int_equal(milgi__keylog_line(line, sizeof want, "EXPORTER_SECRET", random, secret, sizeof secret),
        strlen(want));
    assert_int_equal(milgi__keylog_line(line, sizeof want - 1, "EXPORTER_SECRET", random, secret, sizeof secret), 0);
}

/* --- TLS 1.2 ------------------------------------------------------------------------------------------------------ */

/* A context that is there and empty is another than none (RFC 5705 4). */
static void an_exporter_of_tls12_takes_its_context_with_its_length(void **state)
{
    uint8_t master[48], randoms[64], seed[64 + 2 + 3], want[40], out[40], none[40];
    (void)state;
    memset(master, 7, sizeof master);
    memset(randoms, 9, sizeof randoms);
    memcpy(seed, randoms, 64);
    memcpy(seed + 64, "\0\3abc", 5);
    for (int hash = 0; hash < 2; hash++) {
        assert_int_equal(milgi__prf12(cx, hash, master, 48, "EXPORTER-x", seed, sizeof seed, want, 40), 0);
        assert_int_equal(milgi__export12(cx, hash, master, randoms, "EXPORTER-x", "abc", 3, out, 40), 0);
        assert_memory_equal(out, want, 40);
        assert_int_equal(milgi__export12(cx, hash, master, randoms, "EXPORTER-x", NULL, 0, none, 40), 0);
        assert_int_equal(milgi__prf12(cx, hash, master, 48, "EXPORTER-x", seed, 64, want, 40), 0);
        assert_memory_equal(none, want, 40);
        assert_int_equal(milgi__export12(cx, hash, master, randoms, "EXPORTER-x", "", 0, out, 40), 0);
        assert_memory_not_equal(out, none, 40);
        assert_int_equal(
            milgi__export12(cx, hash, master, randoms, "EXPORTER-x", "", 65536, out, 40), MILGI_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exporter_of_tls12_takes_its_context_with_its_length),
        cmocka_unit_test(schedule_with_a_psk_gives_the_known_secrets),
        cmocka_unit_test(resumption_erases_the_master_secret),
        cmocka_unit_test(constants_of_the_schedule_are_what_computing_them_gives),
        cmocka_unit_test(exporter_gives_the_known_bytes),
        cmocka_unit_test(exporter_refuses_what_hkdf_cannot_do),
        cmocka_unit_test(next_secret_replaces_the_one_before),
        cmocka_unit_test(transcript_hashes_what_came_before_its_hash_was_known),
        cmocka_unit_test(transcript_replaces_the_first_hello_by_its_hash),
        cmocka_unit_test(transcript_without_a_hash_has_no_value),
        cmocka_unit_test(transcript_survives_the_lack_of_memory),
        cmocka_unit_test(key_log_line_has_label_random_and_secret),
    };
    return cmocka_run_group_tests(tests, cx_open, cx_close);
}
