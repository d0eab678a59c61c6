/* SPDX-License-Identifier: Apache-2.0 */
/* What a strict config demands of its peers' hellos, and what they get who do not have it. */
#include "lie.h"

static const char *const http[] = { "http/1.1" };

static struct milgi_config *strict(enum milgi_role role, bool alpn, bool sni, unsigned ask)
{
    struct milgi_config *config = configs_begin(role, fixture.leaf, role == MILGI_CLIENT ? fixture.root : NULL);
    MUST(milgi_config_set_alpn(config, http, 1));
    MUST(milgi_config_set_strict_alpn(config, alpn));
    if (role == MILGI_SERVER)
        MUST(milgi_config_set_strict_sni(config, sni));
    MUST(milgi_config_set_ask(config, ask));
    return configs_freeze(config);
}

static void tell_strict(const struct lie *lie, bool alpn, bool sni, unsigned ask)
{
    struct liar_setup setup = setup_of(&lie->place);
    struct milgi_config *config = strict(lie->place.role == MILGI_CLIENT ? MILGI_SERVER : MILGI_CLIENT, alpn, sni, ask);
    setup.victim = config;
    tell_as(lie, &setup, NULL);
    milgi_config_unref(config);
}

#define NO_PROTOCOL MILGI_ALERT_NO_APPLICATION_PROTOCOL

/* The liar's hellos have no protocols by themselves. */
static void as_it_is(struct pair_bytes *m)
{
    assert_false(liar_ext_has(m, ALPN));
}

static void strict_alpn_wants_one(void **state)
{
    (void)state;
    static const struct lie none = { "none", HELLO, CALL, 0, NULL, 0, NO_PROTOCOL, 0, as_it_is };
    static const struct lie lax = { "none", HELLO, CALL, 0, NULL, 0, OK, 0, as_it_is };
    static const struct lie ours = { "ours", HELLO, ADD, ALPN, BODY("\0\11\10http/1.1"), OK, 0, NULL };
    static const struct lie theirs = { "theirs", HELLO, ADD, ALPN, BODY("\0\4\3ftp"), NO_PROTOCOL, 0, NULL };
    tell_strict(&none, true, false, 0);
    tell_strict(&lax, false, false, 0);
    tell_strict(&ours, true, false, 0);
    tell_strict(&theirs, true, false, 0);
    tell_strict(&theirs, false, false, 0);
    /* A server that selects none is not the one that was meant. */
    static const struct lie silent = { "silent", EXTENSIONS, CALL, 0, NULL, 0, NO_PROTOCOL, 0, as_it_is };
    static const struct lie silent_lax = { "silent", EXTENSIONS, CALL, 0, NULL, 0, OK, 0, as_it_is };
    static const struct lie chosen = { "chosen", EXTENSIONS, ADD, ALPN, BODY("\0\11\10http/1.1"), OK, 0, NULL };
    tell_strict(&silent, true, false, 0);
    tell_strict(&silent_lax, false, false, 0);
    tell_strict(&chosen, true, false, 0);
}

/*= RFC8446 9.2: "Servers requiring this extension SHOULD respond to a ClientHello lacking a "server_name" extension by
 *= terminating the connection with a "missing_extension" alert." */
/*= RFC6066 3: "either abort the handshake by sending a fatal-level unrecognized_name(112) alert or continue the
 *= handshake" */
static void strict_sni_wants_a_name_that_is_known(void **state)
{
    (void)state;
    static const struct lie none = { "none", HELLO, REMOVE, SERVER_NAME, NULL, 0, MISSING, 0, NULL };
    static const struct lie none_lax = { "none", HELLO, REMOVE, SERVER_NAME, NULL, 0, OK, 0, NULL };
    static const struct lie other = { "other", HELLO, SET, SERVER_NAME, BODY("\0\15\0\0\12other.test"),
        MILGI_ALERT_UNRECOGNIZED_NAME, 0, NULL };
    static const struct lie other_lax = { "other", HELLO, SET, SERVER_NAME, BODY("\0\15\0\0\12other.test"), OK, 0,
        NULL };
    static const struct lie ours = { "ours", HELLO, SET, SERVER_NAME, BODY("\0\16\0\0\13SERVER.test"), OK, 0, NULL };
    /* It is known, but nothing of it can be verified: another fault. */
    static const struct lie schemes = { "ours", HELLO, SET, SCHEMES, BODY("\0\2\4\3"), FAILURE, 0, NULL };
    tell_strict(&none, false, true, 0);
    tell_strict(&none_lax, false, false, 0);
    tell_strict(&other, false, true, 0);
    tell_strict(&other_lax, false, false, 0);
    tell_strict(&ours, false, true, 0);
    tell_strict(&schemes, false, true, 0);
    /* A name is demanded before anybody is asked; who is asked and has no opinion gets the same. */
    tell_strict(&none, false, true, MILGI_DECIDE_CREDENTIAL);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const char *why;
    struct milgi_config *client = configs_begin(MILGI_CLIENT, NULL, fixture.root);
    struct milgi_config *server = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    assert_int_equal(milgi_config_set_strict_sni(client, true), MILGI_EINVAL);
    MUST(milgi_config_set_strict_alpn(client, true));
    assert_int_equal(milgi_config_freeze(client, &why), MILGI_EINVAL);
    assert_string_equal(why, "strict ALPN needs protocols");
    MUST(milgi_config_set_strict_alpn(client, false));
    MUST(milgi_config_freeze(client, &why));
    assert_int_equal(milgi_config_set_strict_alpn(client, true), MILGI_EINVAL);
    MUST(milgi_config_set_strict_alpn(server, true));
    MUST(milgi_config_set_ask(server, MILGI_DECIDE_ALPN));
    MUST(milgi_config_freeze(server, &why));
    assert_int_equal(milgi_config_set_strict_sni(server, true), MILGI_EINVAL);
    milgi_config_unref(client);
    milgi_config_unref(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_alpn_wants_one),
        cmocka_unit_test(strict_sni_wants_a_name_that_is_known),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
