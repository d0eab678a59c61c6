/* SPDX-License-Identifier: Apache-2.0 */
/* server_name (RFC 6066 3): what a server makes of the names that clients send, and a client of the answer. */
#include "lie.h"

/* A body, and the name that the server takes from it; NULL: none. */
struct wish {
    const char *body;
    size_t len;
    const char *name;
    int alert;
};

static void judge(const struct wish *wish)
{
    struct lie lie = { "a name", HELLO, SET, SERVER_NAME, wish->body, wish->len, wish->alert, 0, NULL };
    struct liar_setup setup = setup_of(&lie.place);
    tell(&lie);
    if (wish->alert != OK)
        return;
    struct liar liar;
    struct milgi_conn_info info;
    setup.edit = lie_edit;
    setup.arg = &lie;
    liar_init(&liar, &setup);
    liar_handshake(&liar);
    milgi_conn_info(liar.victim->conn, &info);
    if (wish->name)
        assert_string_equal(info.server_name, wish->name);
    else
        assert_null(info.server_name);
    liar_fini(&liar);
}

static void judge_all(const struct wish *wishes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        judge(&wishes[i]);
}

#define NAME_64 "0123456789abcdef.0123456789abcdef.0123456789abcdef.0123456789ab."
#define NAME_255 NAME_64 NAME_64 NAME_64 "0123456789abcdef.0123456789abcdef.0123456789abcdef.0123456789ab"

static void any_name_of_a_host_is_taken_as_it_is(void **state)
{
    (void)state;
    static const struct wish wishes[] = {
        { BODY("\0\16\0\0\13server.test"), "server.test", OK },
        { BODY("\0\16\0\0\13SERVER.Test"), "SERVER.Test", OK },
        { BODY("\0\17\0\0\14server.test."), "server.test.", OK },
        { BODY("\0\4\0\0\1a"), "a", OK },
        { BODY("\0\4\0\0\1."), ".", OK },
        { BODY("\0\10\0\0\5a_b.c"), "a_b.c", OK },
        { BODY("\0\10\0\0\5*.a.b"), "*.a.b", OK },
        { BODY("\1\2\0\0\xff" NAME_255), NAME_255, OK },
    };
    judge_all(wishes, MILGI__COUNT(wishes));
}

/*= RFC6066 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName".", "If the server understood the
 *= ClientHello extension but does not recognize the server name, the server SHOULD take one of two actions: either
 *= abort the handshake by sending a fatal-level unrecognized_name(112) alert or continue the handshake." */
/* No client of ours sends one. There are others that do: it is a name that no certificate has. */
static void an_address_is_a_name_that_nobody_has(void **state)
{
    (void)state;
    static const struct wish wishes[] = {
        { BODY("\0\14\0\0\011192.0.2.1"), "192.0.2.1", OK },
        { BODY("\0\6\0\0\3::1"), "::1", OK },
        { BODY("\0\10\0\0\5[::1]"), "[::1]", OK },
        { BODY("\0\16\0\0\0132001:db8::1"), "2001:db8::1", OK },
    };
    judge_all(wishes, MILGI__COUNT(wishes));
}

/*= RFC6066 3: "represented as a byte string using ASCII encoding", "opaque HostName<1..2^16-1>" */
static void what_is_no_name_of_a_host_is_refused(void **state)
{
    (void)state;
    static const struct wish wishes[] = {
        { BODY("\0\3\0\0\0"), NULL, DECODE },
        { BODY("\0\6\0\0\3a\0b"), NULL, ILLEGAL },
        { BODY("\0\4\0\0\1\0"), NULL, ILLEGAL },
        { BODY("\0\6\0\0\3a b"), NULL, ILLEGAL },
        { BODY("\0\6\0\0\3a\nb"), NULL, ILLEGAL },
        { BODY("\0\6\0\0\3a\x7f"
               "b"),
            NULL, ILLEGAL },
        { BODY("\0\6\0\0\3a\xc3\xa4"), NULL, ILLEGAL },
        { BODY("\1\3\0\1\0" NAME_255 "c"), NULL, ILLEGAL },
    };
    judge_all(wishes, MILGI__COUNT(wishes));
}

/*= RFC6066 3: "ServerName server_name_list<1..2^16-1>", "The ServerNameList MUST NOT contain more than one name of the
 *= same name_type." */
static void a_list_has_one_host_name_among_what_it_has(void **state)
{
    (void)state;
    static const struct wish wishes[] = {
        { BODY(""), NULL, DECODE },
        { BODY("\0"), NULL, DECODE },
        { BODY("\0\0"), NULL, DECODE },
        { BODY("\0\1\0"), NULL, DECODE },
        { BODY("\0\3\0\0\1"), NULL, DECODE },
        { BODY("\0\4\0\0\2a"), NULL, DECODE },
        { BODY("\0\5\0\0\1a"), NULL, DECODE },
        { BODY("\0\4\0\0\1ab"), NULL, DECODE },
        { BODY("\0\5\0\0\1ab"), NULL, DECODE },
        { BODY("\0\10\0\0\1a\0\0\1b"), NULL, ILLEGAL },
        { BODY("\0\10\0\0\1a\0\0\1a"), NULL, ILLEGAL },
        { BODY("\0\14\0\0\1a\7\0\1x\0\0\1b"), NULL, ILLEGAL },
        /*= RFC6066 3: "For backward compatibility, all future data structures associated with new NameTypes MUST begin
         *= with a 16-bit length field." */
        { BODY("\0\4\7\0\1x"), NULL, OK },
        { BODY("\0\3\7\0\0"), NULL, OK },
        { BODY("\0\10\7\0\1x\0\0\1a"), "a", OK },
        { BODY("\0\10\0\0\1a\xff\0\1x"), "a", OK },
        { BODY("\0\7\0\0\1a\1\0\0"), "a", OK },
        { BODY("\0\5\7\0\3xy"), NULL, DECODE },
        { BODY("\0\1\7"), NULL, DECODE },
    };
    judge_all(wishes, MILGI__COUNT(wishes));
}

/*= RFC6066 3: "The "extension_data" field of this extension SHALL be empty." */
static void the_answer_is_empty(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "empty", EXTENSIONS, ADD, SERVER_NAME, BODY(""), OK, 0, NULL },
        { "a byte", EXTENSIONS, ADD, SERVER_NAME, BODY("\0"), DECODE, 0, NULL },
        { "an empty list", EXTENSIONS, ADD, SERVER_NAME, BODY("\0\0"), DECODE, 0, NULL },
        { "the name", EXTENSIONS, ADD, SERVER_NAME, BODY("\0\16\0\0\13server.test"), DECODE, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_name_of_a_host_is_taken_as_it_is),
        cmocka_unit_test(an_address_is_a_name_that_nobody_has),
        cmocka_unit_test(what_is_no_name_of_a_host_is_refused),
        cmocka_unit_test(a_list_has_one_host_name_among_what_it_has),
        cmocka_unit_test(the_answer_is_empty),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
