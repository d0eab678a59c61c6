/* SPDX-License-Identifier: Apache-2.0 */
/* GREASE of a client: there, harmless, the same in a second hello, and in another order each time. */
#include "lie.h"

static bool is_grease(unsigned v)
{
    return (v & 0x0f0f) == 0x0a0a && v >> 8 == (v & 0xff);
}

static struct pair_bytes heard[2]; /* hellos */
static unsigned hellos;

static void hear(struct liar *liar, unsigned type, const uint8_t *data, size_t len)
{
    if (type == LIAR_HANDSHAKE && liar->read.epoch == 0 && data[0] == MILGI__MSG_CLIENT_HELLO && hellos < 2) {
        heard[hellos].len = 0;
        pair_bytes_add(&heard[hellos++], data, len);
    }
}

static void meet(bool on, bool retry, uint64_t draws)
{
    static const char *const protocols[] = { "h2" };
    struct place place = { .role = MILGI_SERVER, .retry = retry };
    struct milgi_config *config = configs_begin(MILGI_CLIENT, fixture.leaf, fixture.root);
    MUST(milgi_config_set_grease(config, on));
    MUST(milgi_config_set_alpn(config, protocols, 1));
    configs_freeze(config);
    struct liar_setup setup = setup_of(&place);
    setup.victim = config;
    setup.hear = hear;
    struct liar liar;
    hellos = 0;
    liar_init(&liar, &setup);
    liar.victim->random_state += draws;
    liar_handshake(&liar);
    liar_fini(&liar);
    milgi_config_unref(config);
}

/* Extensions of a hello in order; returns how many. */
static unsigned types(const struct pair_bytes *m, unsigned *out)
{
    unsigned n = 0;
    for (size_t at = liar_block(m); at < m->len && n < 40; at += 4 + milgi__get16(m->p + at + 2))
        out[n++] = milgi__get16(m->p + at);
    return n;
}

/*= RFC8701 3.1: "A client MAY select one or more GREASE cipher suite values and advertise them in the "cipher_suites"
 *= field.", "extension values and advertise them as extensions with varying length and contents" */
static void a_hello_has_what_means_nothing(void **state)
{
    (void)state;
    unsigned with[40], without[40];
    meet(false, false, 0);
    unsigned plain_n = types(&heard[0], without);
    meet(true, false, 0);
    unsigned n = types(&heard[0], with);
    assert_int_equal(n, plain_n + 2);
    assert_true(is_grease(with[0]) && is_grease(with[n - 1]) && with[0] != with[n - 1]);
    assert_true(is_grease(milgi__get16(heard[0].p + liar_at_suites(&heard[0]) + 2)));
    for (unsigned i = 1; i + 1 < n; i++)
        assert_false(is_grease(with[i]));
}

/* Whose share is the only one; 0: there are more, or none. */
static unsigned only_share(const struct pair_bytes *m)
{
    for (size_t at = liar_block(m); at < m->len; at += 4 + milgi__get16(m->p + at + 2)) {
        if (milgi__get16(m->p + at) == 51)
            return milgi__get16(m->p + at + 4) == 4 + milgi__get16(m->p + at + 8) ? milgi__get16(m->p + at + 6) : 0;
    }
    return 0;
}

/*= RFC8446 4.1.2: "replacing the list of shares with a list containing a single KeyShareEntry from the indicated
 *= group" */
static void the_second_hello_has_the_one_share_that_was_asked_for(void **state)
{
    (void)state;
    meet(true, true, 0);
    assert_int_equal(hellos, 2);
    assert_int_equal(only_share(&heard[0]), 0);
    assert_int_not_equal(only_share(&heard[1]), 0);
    assert_false(is_grease(only_share(&heard[1])));
}

static void the_order_is_another_each_time_and_the_second_hello_keeps_it(void **state)
{
    (void)state;
    unsigned one[40], other[40];
    unsigned differ = 0;
    for (uint64_t draws = 0; draws < 8; draws++) {
        meet(true, true, draws);
        assert_int_equal(hellos, 2);
        unsigned n = types(&heard[0], one);
        assert_int_equal(types(&heard[1], other), n);
        assert_memory_equal(one, other, n * sizeof one[0]);
        meet(true, false, draws + 100);
        types(&heard[0], other);
        differ += memcmp(one + 1, other + 1, (n - 2) * sizeof one[0]) != 0;
    }
    assert_true(differ >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_has_what_means_nothing),
        cmocka_unit_test(the_second_hello_has_the_one_share_that_was_asked_for),
        cmocka_unit_test(the_order_is_another_each_time_and_the_second_hello_keeps_it),
    };
    int rv = cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
    free(heard[0].p);
    free(heard[1].p);
    return rv;
}
