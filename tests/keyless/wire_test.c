/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the keyless protocol: what is written is read again, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <milgi/op.h>

#include "base/base.h"
#include "wire.h"

#define H MILGI__KEYLESS_HEADER

static uint8_t bytes[MILGI__KEYLESS_MAX];

/* Parses exactly |len| bytes, so that a tool sees who reads more. */
static int parse(const uint8_t *data, size_t len, struct milgi__keyless_message *m, size_t *whole)
{
    uint8_t *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, data, len);
    int rv = milgi__keyless_parse(copy + 1, len, m, whole);
    m->payload = NULL; /* it led into the copy */
    m->sni = NULL;
    free(copy);
    return rv;
}

static size_t sample(struct milgi__keyless_message *m)
{
    static const uint8_t payload[] = "a hash of thirty-two bytes or so";
    *m = (struct milgi__keyless_message){
        .id = 0x01020304, .opcode = MILGI__KEYLESS_PSS_SHA256, .has_ski = true, .payload = payload, .payload_len = 32
    };
    memset(m->ski, 0xab, sizeof m->ski);
    m->sni = (const uint8_t *)"www.example.org";
    m->sni_len = 15;
    return milgi__keyless_write(m, bytes);
}

static void what_is_written_is_read_again(void **state)
{
    struct milgi__keyless_message in, out;
    size_t len = sample(&in), whole;
    (void)state;
    assert_int_equal(len, MILGI__KEYLESS_PADDED);
    assert_int_equal(milgi__keyless_parse(bytes, len, &out, &whole), (int)len);
    assert_int_equal(whole, len);
    assert_int_equal(out.id, 0x01020304);
    assert_int_equal(out.opcode, MILGI__KEYLESS_PSS_SHA256);
    assert_true(out.has_ski);
    assert_memory_equal(out.ski, in.ski, sizeof in.ski);
    assert_int_equal(out.payload_len, 32);
    assert_memory_equal(out.payload, in.payload, 32);
    assert_int_equal(out.sni_len, 15);
    assert_memory_equal(out.sni, "www.example.org", 15);
}

/* The bytes that the published protocol has for a ping with the ID 7: version 1.0, length, ID, opcode, padding. */
static void a_ping_is_these_bytes(void **state)
{
    static const uint8_t head[] = { 1, 0, 0x03, 0xf8, 0, 0, 0, 7, 0x11, 0, 1, 0xf1, 0x20, 0x03, 0xf1, 0 };
    const struct milgi__keyless_message ping = { .id = 7, .opcode = MILGI__KEYLESS_PING };
    (void)state;
    assert_int_equal(milgi__keyless_write(&ping, bytes), 1024);
    assert_memory_equal(bytes, head, sizeof head);
}

static void every_length_of_a_payload_is_written_and_read(void **state)
{
    static uint8_t payload[MILGI__KEYLESS_PAYLOAD_MAX];
    struct milgi__keyless_message m = { .opcode = MILGI__KEYLESS_ED25519, .payload = payload }, out;
    size_t whole;
    (void)state;
    for (size_t len = 0; len <= sizeof payload; len += len < 1100 ? 1 : 4999) {
        m.payload_len = len;
        size_t written = milgi__keyless_write(&m, bytes);
        assert_true(written >= MILGI__KEYLESS_PADDED);
        assert_int_equal(written, milgi__keyless_length(&m));
        assert_int_equal(milgi__keyless_parse(bytes, written, &out, &whole), (int)written);
        assert_int_equal(out.payload_len, len);
    }
    m.payload_len = sizeof payload + 1;
    assert_int_equal(milgi__keyless_length(&m), 0);
    m.payload_len = 0;
    m.sni_len = MILGI__KEYLESS_NAME + 1;
    assert_int_equal(milgi__keyless_length(&m), 0);
}

static void a_part_of_a_message_is_waited_for(void **state)
{
    struct milgi__keyless_message m;
    size_t len = sample(&m), whole;
    (void)state;
    for (size_t part = 0; part < len; part++) {
        assert_int_equal(parse(bytes, part, &m, &whole), 0);
        assert_int_equal(whole, 0);
    }
    assert_int_equal(parse(bytes, len, &m, &whole), (int)len);
}

/* A message whose header says that it ends earlier: its items do not end there. */
static void every_message_that_ends_too_early_is_malformed(void **state)
{
    struct milgi__keyless_message m;
    size_t whole, ends = 0;
    (void)state;
    (void)sample(&m);
    for (size_t body = 0; body < MILGI__KEYLESS_PADDED - H; body++) {
        bytes[2] = (uint8_t)(body >> 8);
        bytes[3] = (uint8_t)body;
        int rv = parse(bytes, H + body, &m, &whole);
        assert_int_equal(whole, H + body);
        assert_int_equal(m.id, 0x01020304);
        if (rv > 0) /* behind an item */
            ends++;
        else
            assert_int_equal(rv, -MILGI__KEYLESS_E_FORMAT);
    }
    assert_int_equal(ends, 4); /* behind opcode, payload, SKI and name */
}

static void another_version_is_told_from_the_first_byte_on(void **state)
{
    struct milgi__keyless_message m;
    size_t len = sample(&m), whole;
    (void)state;
    for (unsigned version = 0; version < 256; version++) {
        bytes[0] = (uint8_t)version;
        for (size_t part = 1; part <= len; part += 511) {
            int rv = parse(bytes, part, &m, &whole);
            if (version == 1)
                assert_int_equal(rv, part == len ? (int)len : 0);
            else
                assert_int_equal(rv, -MILGI__KEYLESS_E_VERSION);
        }
    }
    bytes[0] = 1;
    bytes[1] = 9; /* the minor number says nothing of the format */
    assert_int_equal(parse(bytes, len, &m, &whole), (int)len);
}

/* A message of these items. */
static int items(const uint8_t *data, size_t len, struct milgi__keyless_message *m)
{
    uint8_t message[H + 256] = { 1, 0, 0, (uint8_t)len, 0, 0, 0, 9 };
    size_t whole;
    memcpy(message + H, data, len);
    return parse(message, H + len, m, &whole);
}

static void items_that_cannot_be_are_malformed(void **state)
{
    static const struct {
        uint8_t bytes[64];
        size_t len;
        bool good;
    } cases[] = {
        { { 0x11, 0, 1, 0xf1 }, 4, true },
        { { 0x11, 0, 0 }, 3, false },                                  /* an empty opcode */
        { { 0x11, 0, 2, 0xf1, 0xf1 }, 5, false },                      /* a long one */
        { { 0x12, 0, 0 }, 3, false },                                  /* none */
        { { 0 }, 0, false },                                           /* nothing at all */
        { { 0x11, 0, 1, 0xf1, 0x11, 0, 1, 0xf1 }, 8, false },          /* two */
        { { 0x11, 0, 1, 0xf1, 0x12, 0, 0, 0x12, 0, 0 }, 10, false },   /* two payloads */
        { { 0x11, 0, 1, 0xf1, 0x20, 0, 0, 0x20, 0, 0 }, 10, false },   /* padding in two pieces */
        { { 0x11, 0, 1, 0xf1, 0x77, 0, 0, 0x77, 0, 1, 5 }, 11, true }, /* not known: passed over, also twice */
        { { 0x11, 0, 1, 0xf1, 0xff, 0, 0 }, 7, true },                 /* a tag beyond all masks */
        { { 0x11, 0, 1, 0xf1, 0x04, 0, 19 }, 7 + 19, false },          /* a short SKI */
        { { 0x11, 0, 1, 0xf1, 0x04, 0, 20 }, 7 + 20, true },
        { { 0x11, 0, 1, 0xf1, 0x04, 0, 21 }, 7 + 21, false },
        { { 0x11, 0, 1, 0xf1, 0x01, 0, 31 }, 7 + 31, false }, /* a short digest */
        { { 0x11, 0, 1, 0xf1, 0x01, 0, 32 }, 7 + 32, true },
        { { 0x11, 0, 1, 0xf1, 0x03, 0, 4 }, 7 + 4, true },
        { { 0x11, 0, 1, 0xf1, 0x03, 0, 5 }, 7 + 5, false }, /* no address */
        { { 0x11, 0, 1, 0xf1, 0x05, 0, 16 }, 7 + 16, true },
        { { 0x11, 0, 1, 0xf1, 0x05, 0, 0 }, 7, false },
        { { 0x11, 0, 1, 0xf1, 0x12, 0, 1 }, 7, false }, /* ends behind the message */
        { { 0x11, 0, 1, 0xf1, 0x12, 0xff, 0xff }, 7, false },
        { { 0x11, 0, 1, 0xf1, 0x12, 0 }, 6, false }, /* a piece of a head */
        { { 0x11, 0, 1, 0xf1, 0x12 }, 5, false },
    };
    struct milgi__keyless_message m;
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        int rv = items(cases[i].bytes, cases[i].len, &m);
        if (cases[i].good != (rv > 0))
            fail_msg("case %zu: %d", i, rv);
        assert_int_equal(m.id, 9);
    }
}

static void a_name_has_a_bound(void **state)
{
    static uint8_t message[H + 4 + 3 + 256] = { 1, 0, 0, 0, 0, 0, 0, 9, 0x11, 0, 1, 0xf1, 0x02 };
    struct milgi__keyless_message m;
    size_t whole;
    (void)state;
    for (unsigned len = 255; len <= 256; len++) {
        size_t body = 4 + 3 + len;
        message[2] = (uint8_t)(body >> 8);
        message[3] = (uint8_t)body;
        message[H + 5] = (uint8_t)(len >> 8);
        message[H + 6] = (uint8_t)len;
        assert_int_equal(parse(message, H + body, &m, &whole) > 0, len == 255);
    }
}

static void schemes_and_opcodes_belong_together(void **state)
{
    static const uint16_t known[] = { 0x0401, 0x0501, 0x0601, 0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0807 };
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(known); i++) {
        assert_true(milgi__keyless_opcode(known[i]) != 0);
        assert_int_equal(milgi__keyless_scheme(milgi__keyless_opcode(known[i])), known[i]);
    }
    assert_int_equal(milgi__keyless_opcode(MILGI_SIG_RSA_PSS_PSS_SHA384), MILGI__KEYLESS_PSS_SHA384);
    assert_int_equal(milgi__keyless_opcode(MILGI_SIG_MLDSA65), 0);
    assert_int_equal(milgi__keyless_scheme(0x01), 0); /* decryption: that was RSA key exchange */
    assert_int_equal(milgi__keyless_scheme(0x02), 0); /* MD5 and SHA-1 */
    assert_int_equal(milgi__keyless_scheme(0x13), 0); /* SHA-1 */
    assert_int_equal(milgi__keyless_scheme(MILGI__KEYLESS_PING), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(a_ping_is_these_bytes),
        cmocka_unit_test(every_length_of_a_payload_is_written_and_read),
        cmocka_unit_test(a_part_of_a_message_is_waited_for),
        cmocka_unit_test(every_message_that_ends_too_early_is_malformed),
        cmocka_unit_test(another_version_is_told_from_the_first_byte_on),
        cmocka_unit_test(items_that_cannot_be_are_malformed),
        cmocka_unit_test(a_name_has_a_bound),
        cmocka_unit_test(schemes_and_opcodes_belong_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
