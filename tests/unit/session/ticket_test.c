/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys: who can open what, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cx.h"
#include "session/session.h"

#define LIFETIME 3600 /* periods of 20 minutes */
#define START 1000000800

static const uint8_t secret[32] = { 1, 2, 3 };

static struct milgi_ticket_keys *keys_at(int64_t now_s)
{
    struct milgi_ticket_keys *keys;
    assert_int_equal(milgi_ticket_keys_new(secret, LIFETIME, now_s, &keys), 0);
    return keys;
}

struct ticket {
    uint8_t bytes[MILGI__TICKET_FRONT + 64];
    struct milgi__ticket_key key;
};

static struct ticket seal(struct milgi_ticket_keys *keys, int64_t now_s, uint8_t random)
{
    struct ticket t = { .bytes = { 0 } };
    memset(t.bytes + MILGI__TICKET_NAME_LEN, random, MILGI__TICKET_RANDOM_LEN);
    assert_int_equal(milgi__ticket_key_seal(keys, cx, now_s, t.bytes + MILGI__TICKET_NAME_LEN, &t.key), 0);
    memcpy(t.bytes, t.key.name, sizeof t.key.name);
    return t;
}

static int reopen(struct milgi_ticket_keys *keys, int64_t now_s, const struct ticket *t)
{
    struct milgi__ticket_key key;
    int rv = milgi__ticket_key_open(keys, cx, now_s, t->bytes, sizeof t->bytes, &key);
    if (rv == 0)
        assert_memory_equal(&key, &t->key, sizeof key);
    return rv;
}

static void tickets_open_as_long_as_they_are_good_and_hardly_longer(void **state)
{
    (void)state;
    for (int64_t made = START; made < START + 3 * LIFETIME; made += 301) {
        struct milgi_ticket_keys *keys = keys_at(START);
        struct ticket t = seal(keys, made, 7);
        assert_int_equal(reopen(keys, made, &t), 0);
        assert_int_equal(reopen(keys, made + LIFETIME - 1, &t), 0);
        assert_int_equal(reopen(keys, made + LIFETIME + LIFETIME / 3, &t), MILGI_ESTALE);
        assert_int_equal(reopen(keys, made, &t), MILGI_ESTALE); /* what is wiped does not come back */
        milgi_ticket_keys_unref(keys);
    }
}

static void every_ticket_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct milgi_ticket_keys *keys = keys_at(START);
    struct ticket a = seal(keys, START, 1), b = seal(keys, START, 2), later = seal(keys, START + LIFETIME / 3, 1);
    assert_memory_equal(a.key.name, b.key.name, sizeof a.key.name);
    assert_memory_not_equal(a.key.key, b.key.key, sizeof a.key.key);
    assert_memory_not_equal(a.key.nonce, b.key.nonce, sizeof a.key.nonce);
    assert_memory_not_equal(a.key.name, later.key.name, sizeof a.key.name);
    assert_memory_not_equal(a.key.key, later.key.key, sizeof a.key.key);
    milgi_ticket_keys_unref(keys);
}

/* Made from the same secret at the same time, as processes that were forked have it. */
static void those_who_began_alike_stay_in_step(void **state)
{
    (void)state;
    struct milgi_ticket_keys *a = keys_at(START), *b = keys_at(START);
    for (int64_t now = START; now < START + 40 * LIFETIME; now += 2000) {
        if (now / 10000 % 2)
            assert_int_equal(milgi_ticket_keys_renew(a, now), 0); /* some steps at once, some one by one */
        struct ticket t = seal(b, now, 9);
        assert_int_equal(reopen(a, now, &t), 0);
        assert_int_equal(reopen(a, now + LIFETIME - 1 - 2000, &t), 0);
    }
    milgi_ticket_keys_unref(a);
    milgi_ticket_keys_unref(b);
}

static void a_clock_that_goes_back_is_waited_for(void **state)
{
    (void)state;
    struct milgi_ticket_keys *keys = keys_at(START);
    struct ticket t = seal(keys, START + 10 * LIFETIME, 1);
    struct ticket back = seal(keys, START, 1);
    assert_memory_equal(&t.key, &back.key, sizeof t.key);
    assert_int_equal(reopen(keys, START, &t), 0);
    milgi_ticket_keys_unref(keys);
}

static void a_clock_that_jumps_costs_no_more_than_a_step(void **state)
{
    (void)state;
    struct milgi_ticket_keys *a = keys_at(START), *b = keys_at(START);
    struct ticket before = seal(a, START, 2), t = seal(a, INT64_C(4000000000), 1);
    assert_int_equal(reopen(a, INT64_C(4000000000), &before), MILGI_ESTALE);
    assert_int_equal(reopen(a, INT64_C(4000000000), &t), 0);
    assert_int_equal(reopen(b, INT64_C(4000000000), &t), 0);
    milgi_ticket_keys_unref(a);
    milgi_ticket_keys_unref(b);
}

static void strangers_tickets_are_told_by_their_name(void **state)
{
    (void)state;
    struct milgi_ticket_keys *keys = keys_at(START);
    struct ticket t = seal(keys, START, 1);
    struct milgi__ticket_key key;
    for (unsigned i = 0; i < MILGI__TICKET_NAME_LEN; i++) {
        t.bytes[i] ^= 1;
        assert_int_equal(reopen(keys, START, &t), MILGI_ESTALE);
        t.bytes[i] ^= 1;
    }
    for (size_t len = 0; len <= MILGI__TICKET_FRONT + MILGI__TICKET_TAG_LEN; len++)
        assert_int_equal(milgi__ticket_key_open(keys, cx, START, t.bytes, len, &key), MILGI_ESTALE);
    memset(t.bytes, 0, MILGI__TICKET_NAME_LEN); /* as a place that holds no key might be named */
    assert_int_equal(reopen(keys, START, &t), MILGI_ESTALE);
    milgi_ticket_keys_unref(keys);
}

static void no_keys_are_made_of_nothing(void **state)
{
    (void)state;
    static const uint8_t zeros[32];
    struct milgi_ticket_keys *keys;
    assert_int_equal(milgi_ticket_keys_new(zeros, LIFETIME, START, &keys), MILGI_EINVAL);
    assert_null(keys);
    assert_int_equal(milgi_ticket_keys_new(NULL, LIFETIME, START, &keys), MILGI_EINVAL);
    assert_int_equal(milgi_ticket_keys_new(secret, 59, START, &keys), MILGI_EINVAL);
    assert_int_equal(milgi_ticket_keys_new(secret, 604801, START, &keys), MILGI_EINVAL);
    assert_int_equal(milgi_ticket_keys_new(secret, LIFETIME, -1, &keys), MILGI_EINVAL);
    assert_int_equal(milgi_ticket_keys_new(secret, 604800, START, &keys), 0);
    milgi_ticket_keys_unref(keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_open_as_long_as_they_are_good_and_hardly_longer),
        cmocka_unit_test(every_ticket_has_a_key_of_its_own),
        cmocka_unit_test(those_who_began_alike_stay_in_step),
        cmocka_unit_test(a_clock_that_goes_back_is_waited_for),
        cmocka_unit_test(a_clock_that_jumps_costs_no_more_than_a_step),
        cmocka_unit_test(strangers_tickets_are_told_by_their_name),
        cmocka_unit_test(no_keys_are_made_of_nothing),
    };
    return cmocka_run_group_tests(tests, cx_open, cx_close);
}
