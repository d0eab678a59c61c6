/* SPDX-License-Identifier: Apache-2.0 */
/* The second ClientHello is the first but for what a HelloRetryRequest changes (RFC 8446 4.1.2). */
#include "extensions.h"
#include "fixture.h"

#define PSK_BODY \
    "\0\7\0\1i\0\0\0\0" \
    "\0\x21\x20" \
    "0123456789abcdef0123456789abcdef"

/* What the first ClientHello says in an extension, and what the second. */
struct change {
    unsigned iana;
    const char *first, *second; /* NULL: nothing */
    size_t first_len, second_len;
};

/* What only the second has, and does not demand another that the first lacks. */
static bool add_psk(struct liar *liar, struct pair_bytes *m)
{
    const bool *both = liar->setup.arg;
    if (m->p[0] != MILGI__MSG_CLIENT_HELLO)
        return true;
    liar_ext_add(m, PSK_MODES, "\1\1", 2, false);
    if (liar->said == 1 || *both)
        liar_ext_add(m, PSK, PSK_BODY, sizeof PSK_BODY - 1, true);
    return true;
}

/*= RFC8446 4.1.2: "Updating the "pre_shared_key" extension if present" */
static void a_second_client_hello_offers_no_psk_that_the_first_has_not(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct place place = { .role = MILGI_CLIENT, .retry = true };
        struct liar_setup setup = setup_of(&place);
        struct liar liar;
        bool both = i;
        setup.edit = add_psk;
        setup.arg = &both;
        liar_init(&liar, &setup);
        go_on(&liar);
        if (both)
            assert_true(liar.victim->established);
        else
            liar_expect_alert(&liar, MILGI_ALERT_ILLEGAL_PARAMETER);
        liar_fini(&liar);
    }
}

static bool say_otherwise(struct liar *liar, struct pair_bytes *m)
{
    const struct change *change = liar->setup.arg;
    if (m->p[0] != MILGI__MSG_CLIENT_HELLO)
        return true;
    const char *body = liar->said == 0 ? change->first : change->second;
    if (body)
        liar_ext_set(m, change->iana, body, liar->said == 0 ? change->first_len : change->second_len);
    else if (liar_ext_has(m, change->iana))
        liar_ext_remove(m, change->iana);
    return true;
}

#define CHANGE(iana, first, second) \
    { \
        iana, first, second, sizeof first - 1, sizeof second - 1 \
    }

/*= RFC8446 4.1.2: "In that case, the client MUST send the same ClientHello without modification, except as follows" */
static void a_second_client_hello_repeats_each_extension(void **state)
{
    (void)state;
    static const struct change changes[] = {
        CHANGE(SERVER_NAME, "\0\4\0\0\1a", "\0\4\0\0\1b"),
        CHANGE(STATUS_REQUEST, "\1\0\0\0\0", "\1\0\0\0\1x"),
        CHANGE(GROUPS, "\0\4\0\x1d\0\x17", "\0\4\0\x1d\0\x18"),
        CHANGE(SCHEMES, "\0\4\x8\7\4\3", "\0\4\x8\7\5\3"),
        CHANGE(ALPN, "\0\3\2h2", "\0\3\2h3"),
        CHANGE(ALPN, "\0\6\2h2\2h3", "\0\6\2h3\2h2"),
        { ALPN, NULL, "\0\3\2h2", 0, 5 },
        { ALPN, "\0\3\2h2", NULL, 5, 0 },
        CHANGE(VERSIONS, "\4\3\4\3\3", "\2\3\4"),
        CHANGE(PSK_MODES, "\1\1", "\1\0"),
        CHANGE(AUTHORITIES, "\0\3\0\1x", "\0\3\0\1y"),
        { POST_AUTH, NULL, "", 0, 0 },
        CHANGE(CERT_SCHEMES, "\0\2\x8\7", "\0\2\4\3"),
        CHANGE(UNKNOWN, "a", "b"),
    };
    struct place place = { .role = MILGI_CLIENT, .retry = true };
    struct liar_setup setup = setup_of(&place);
    setup.edit = say_otherwise;
    for (size_t i = 0; i < MILGI__COUNT(changes); i++) {
        struct liar liar;
        setup.arg = (void *)(uintptr_t)&changes[i];
        liar_init(&liar, &setup);
        go_on(&liar);
        assert_int_equal(liar.said, 2);
        if (liar.victim->reason.alert != MILGI_ALERT_ILLEGAL_PARAMETER)
            fail_msg("extension %u: %s", changes[i].iana, liar_end(&liar));
        liar_expect_alert(&liar, MILGI_ALERT_ILLEGAL_PARAMETER);
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

static bool share_of_another(struct liar *liar, struct pair_bytes *m)
{
    uint8_t share[2 + 4 + MILGI_KEX_PUBLIC_MAX];
    if (m->p[0] != MILGI__MSG_CLIENT_HELLO)
        return true;
    liar_ext_set(m, GROUPS, "\0\4\0\x1d\x40\0", 6);
    if (liar->said == 0)
        return true;
    milgi__put16(share, (unsigned)liar->pub_len + 4);
    milgi__put16(share + 2, 0x4000);
    milgi__put16(share + 4, (unsigned)liar->pub_len);
    memcpy(share + 6, liar->pub, liar->pub_len);
    liar_ext_set(m, KEY_SHARE, share, 6 + liar->pub_len);
    return true;
}

/*= RFC8446 4.1.2: "replacing the list of shares with a list containing a single KeyShareEntry from the indicated
 *= group" */
/* A share that would do, but for the group that it says it is of. */
static void a_second_client_hello_has_a_share_of_the_group_that_was_asked_for(void **state)
{
    (void)state;
    struct place place = { .role = MILGI_CLIENT, .retry = true };
    struct liar_setup setup = setup_of(&place);
    struct liar liar;
    setup.edit = share_of_another;
    liar_init(&liar, &setup);
    go_on(&liar);
    assert_int_equal(liar.said, 2);
    liar_expect_alert(&liar, MILGI_ALERT_ILLEGAL_PARAMETER);
    expect_silence(&liar);
    liar_fini(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_client_hello_repeats_each_extension),
        cmocka_unit_test(a_second_client_hello_offers_no_psk_that_the_first_has_not),
        cmocka_unit_test(a_second_client_hello_has_a_share_of_the_group_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
