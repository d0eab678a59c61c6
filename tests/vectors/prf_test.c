/* SPDX-License-Identifier: Apache-2.0 */
/* The PRF of TLS 1.2 (RFC 5246 5): bytes that are known, which come from another program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "keys/keys.h"

static void the_prf_gives_the_known_bytes(void **state)
{
    static const struct {
        enum milgi__hash hash;
        const char *secret, *seed, *out;
    } known[] = {
        { MILGI__SHA256, "\x9b\xbe\x43\x6b\xa9\x40\xf0\x17\xb1\x76\x52\x84\x9a\x71\xdb\x35",
            "\xa0\xba\x9f\x93\x6c\xda\x31\x18\x27\xa6\xf7\x96\xff\xd5\x19\x8c",
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af"
            "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701"
            "87347b66" },
        { MILGI__SHA384, "\xb8\x0b\x73\x3d\x6c\xee\xfc\xdc\x71\x56\x6e\xa4\x8e\x55\x67\xdf",
            "\xcd\x66\x5c\xf6\xa8\x44\x7d\xd6\xff\x8b\x27\x55\x5e\xdb\x74\x65",
            "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be9fe34f82b1233c9146a0"
            "e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722a7b32fc3d416d473ebc2c5fd4abfdad05d918425"
            "9b5bf8cd4d90fa0d31e2dec479e4f1a26066f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e099070"
            "3d73e56f" },
    };
    struct milgi__crypto *cx = milgi__crypto_new();
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t out[160];
        size_t len = strlen(known[i].out) / 2;
        assert_int_equal(milgi__prf12(cx, known[i].hash, (const uint8_t *)known[i].secret, 16, "test label",
                             known[i].seed, 16, out, len),
            0);
        for (size_t k = 0; k < len; k++) {
            char two[3];
            snprintf(two, sizeof two, "%02x", out[k]);
            assert_memory_equal(two, known[i].out + 2 * k, 2);
        }
    }
    milgi__crypto_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prf_gives_the_known_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
