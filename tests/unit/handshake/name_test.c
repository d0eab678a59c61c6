/* SPDX-License-Identifier: Apache-2.0 */
/* Which server names are names. */
#include "loop.h"

#include <arpa/inet.h>

static void addresses_are_read_as_the_system_reads_them(void **state)
{
    (void)state;
    static const char *const names[] = { "192.0.2.1", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5",
        "1.2.3.", "01.2.3.4", "1..2.3", "", ".", "a.test", "1.2.3.4.", "1.2.3.x", "1.2.3.4x", "0x1.2.3.4", "::", "::1",
        "1::", "1::2", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1::2::3", ":::", ":",
        ":1", "1:", "1:2:3:4:5:6:7:", "12345::", "g::", "fe80::1%eth0", "2001:DB8::aBcD", "::1.2.3", "1.2.3.4::",
        "::1.2.3.4:5", "1:::2", "::1.2.3.256", "[::1]", "::%1" };
    for (unsigned i = 0; i < MILGI__COUNT(names); i++) {
        uint8_t ours[16] = { 0 }, theirs[16] = { 0 };
        size_t expected = 0;
        if (inet_pton(AF_INET, names[i], theirs) == 1)
            expected = 4;
        else if (inet_pton(AF_INET6, names[i], theirs) == 1)
            expected = 16;
        size_t len = milgi__name_ip(names[i], ours);
        if (len != expected)
            fail_msg("\"%s\": %zu, not %zu", names[i], len, expected);
        if (len != 0)
            assert_memory_equal(ours, theirs, len);
    }
}

static void random_texts_are_read_as_the_system_reads_them(void **state)
{
    (void)state;
    static const char letters[] = "::::..0112fFg";
    uint64_t random = 7;
    unsigned addresses = 0;
    for (unsigned i = 0; i < 300000; i++) {
        char text[20];
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t len = (size_t)(random >> 60);
        for (size_t k = 0; k < len; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            text[k] = letters[(random >> 33) % (sizeof letters - 1)];
        }
        text[len] = '\0';
        uint8_t ours[16] = { 0 }, theirs[16] = { 0 };
        size_t expected = 0;
        if (inet_pton(AF_INET, text, theirs) == 1)
            expected = 4;
        else if (inet_pton(AF_INET6, text, theirs) == 1)
            expected = 16;
        size_t got = milgi__name_ip(text, ours);
        if (got != expected || (got != 0 && memcmp(ours, theirs, got) != 0))
            fail_msg("\"%s\": %zu, not %zu", text, got, expected);
        addresses += got != 0;
    }
    assert_true(addresses > 1000);
}

/*= RFC1123 2.1: "a valid host name can never have the dotted-decimal form #.#.#.#, since at least the highest-level
 *= component label will be alphabetic" */
/*= RFC6066 3: "Literal IPv4 and IPv6 addresses are not permitted in "HostName"." */
static void what_ends_in_a_number_is_no_host_name(void **state)
{
    (void)state;
    static const char *const bad[] = { "", ".", "..", ".a", "a..", "a..b", "a b", "a\tb", "a\x7f", "\xc3\xa9.test",
        "1.2.3.4.", "1.2.3.4..", "1.2.3", "1", "01.2.3.4", "256.0.0.1", "0x7f.1", "0x7f000001", "0X7F000001.", "0x",
        "server.1", "a.0x1f", "[::1]", "::1.", "1:2", "fe80::1%eth0", "*.server.test", "server/test",
        "user@server.test" };
    static const char *const good[] = { "a", "a.", "server.test", "server.test.", "127.0.0.1", "::1", "1.2.3.4.test",
        "4.test", "a1", "1a", "xn--a-b", "x.xn--p1ai", "a_b.test", "_sip.server.test", "0xg", "server.0xg", "a-1.b-2" };
    for (size_t i = 0; i < MILGI__COUNT(bad); i++) {
        if (milgi__name_ok(bad[i]))
            fail_msg("\"%s\" is no name", bad[i]);
    }
    for (size_t i = 0; i < MILGI__COUNT(good); i++) {
        if (!milgi__name_ok(good[i]))
            fail_msg("\"%s\" is a name", good[i]);
    }
    char label[65], name[260];
    memset(label, 'a', sizeof label);
    label[63] = '\0';
    assert_true(milgi__name_ok(label));
    label[63] = 'a';
    label[64] = '\0';
    assert_false(milgi__name_ok(label));
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[255] = '\0';
    assert_true(milgi__name_ok(name));
    name[255] = 'a';
    name[256] = '\0';
    assert_false(milgi__name_ok(name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_as_the_system_reads_them),
        cmocka_unit_test(random_texts_are_read_as_the_system_reads_them),
        cmocka_unit_test(what_ends_in_a_number_is_no_host_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
