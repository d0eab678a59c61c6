/* SPDX-License-Identifier: Apache-2.0 */
/* status_request, signed_certificate_timestamp and certificate_authorities: their forms and places. */
#include "lie.h"

#define TIMESTAMPS 18
#define BAD_STATUS MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE

static void what_a_client_asks_for_has_its_form(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "OCSP", HELLO, ADD, STATUS_REQUEST, BODY("\1\0\0\0\0"), OK, 0, NULL },
        { "OCSP of somebody", HELLO, ADD, STATUS_REQUEST, BODY("\1\0\3\0\1x\0\1y"), OK, 0, NULL },
        { "something else", HELLO, ADD, STATUS_REQUEST, BODY("\2what"), OK, 0, NULL },
        { "nothing", HELLO, ADD, STATUS_REQUEST, BODY(""), DECODE, 0, NULL },
        { "half of it", HELLO, ADD, STATUS_REQUEST, BODY("\1\0\0\0"), DECODE, 0, NULL },
        { "more behind it", HELLO, ADD, STATUS_REQUEST, BODY("\1\0\0\0\0x"), DECODE, 0, NULL },
        { "timestamps", HELLO, ADD, TIMESTAMPS, BODY(""), OK, 0, NULL },
        { "timestamps of a client", HELLO, ADD, TIMESTAMPS, BODY("x"), DECODE, 0, NULL },
        { "authorities", HELLO, ADD, AUTHORITIES, BODY("\0\4\0\2ab"), OK, 0, NULL },
        { "no authorities", HELLO, ADD, AUTHORITIES, BODY("\0\0"), DECODE, 0, NULL },
        { "an authority without a name", HELLO, ADD, AUTHORITIES, BODY("\0\5\0\0\0\1a"), DECODE, 0, NULL },
        { "half of an authority", HELLO, ADD, AUTHORITIES, BODY("\0\3\0\2a"), DECODE, 0, NULL },
        { "more authorities in the second", HELLO_2, ADD, AUTHORITIES, BODY("\0\4\0\2ab"), ILLEGAL, 0, NULL },
        { "an OCSP request of a server", REQUEST, ADD, STATUS_REQUEST, BODY(""), OK, 0, NULL },
        { "more in it", REQUEST, ADD, STATUS_REQUEST, BODY("\1\0\0\0\0"), DECODE, 0, NULL },
        { "half a name of a server", REQUEST, ADD, AUTHORITIES, BODY("\0\3\0\2a"), DECODE, 0, NULL },
        { "a name of a server", REQUEST, ADD, AUTHORITIES, BODY("\0\4\0\2ab"), OK, 0, NULL },
        { "names in EncryptedExtensions", EXTENSIONS, ADD, AUTHORITIES, BODY("\0\4\0\2ab"), ILLEGAL, 0, NULL },
        { "names in Certificate", CERT, ADD, AUTHORITIES, BODY("\0\4\0\2ab"), ILLEGAL, 0, NULL },
        { "timestamps in EncryptedExtensions", EXTENSIONS, ADD, TIMESTAMPS, BODY(""), ILLEGAL, 0, NULL },
        { "status in ServerHello", ANSWER, ADD, STATUS_REQUEST, BODY(""), ILLEGAL, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void tell_asking(const struct lie *lie)
{
    struct milgi_config *config = configs_begin(MILGI_CLIENT, fixture.leaf, fixture.root);
    MUST(milgi_config_set_ocsp(config, MILGI_OCSP_ASK));
    MUST(milgi_config_set_scts(config, true));
    configs_freeze(config);
    struct liar_setup setup = setup_of(&lie->place);
    setup.victim = config;
    tell_as(lie, &setup, NULL);
    milgi_config_unref(config);
}

static void what_stands_beside_a_certificate_has_its_form(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "another type", CERT, ADD, STATUS_REQUEST, BODY("\2\0\0\1x"), ILLEGAL, 0, NULL },
        { "an empty response", CERT, ADD, STATUS_REQUEST, BODY("\1\0\0\0"), DECODE, 0, NULL },
        { "half a response", CERT, ADD, STATUS_REQUEST, BODY("\1\0\0\2x"), DECODE, 0, NULL },
        { "more behind it", CERT, ADD, STATUS_REQUEST, BODY("\1\0\0\1xy"), DECODE, 0, NULL },
        { "no response at all", CERT, ADD, STATUS_REQUEST, BODY(""), DECODE, 0, NULL },
        { "a response that is none", CERT, ADD, STATUS_REQUEST, BODY("\1\0\0\1x"), BAD_STATUS, 0, NULL },
        { "a timestamp", CERT, ADD, TIMESTAMPS, BODY("\0\3\0\1x"), OK, 0, NULL },
        { "no timestamp", CERT, ADD, TIMESTAMPS, BODY("\0\0"), DECODE, 0, NULL },
        { "an empty timestamp", CERT, ADD, TIMESTAMPS, BODY("\0\2\0\0"), DECODE, 0, NULL },
        { "half a timestamp", CERT, ADD, TIMESTAMPS, BODY("\0\3\0\2x"), DECODE, 0, NULL },
        { "more behind the timestamps", CERT, ADD, TIMESTAMPS, BODY("\0\3\0\1xy"), DECODE, 0, NULL },
        { "status in EncryptedExtensions", EXTENSIONS, ADD, STATUS_REQUEST, BODY(""), ILLEGAL, 0, NULL },
    };
    for (size_t i = 0; i < MILGI__COUNT(lies); i++)
        tell_asking(&lies[i]);
    static const struct lie unasked = { "unasked", CERT, ADD, TIMESTAMPS, BODY("\0\3\0\1x"), UNSUPPORTED, 0, NULL };
    static const struct lie client = { "unasked", CLIENT_CERT, ADD, TIMESTAMPS, BODY("\0\3\0\1x"), UNSUPPORTED, 0,
        NULL };
    tell(&unasked);
    tell(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_client_asks_for_has_its_form),
        cmocka_unit_test(what_stands_beside_a_certificate_has_its_form),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
