/* SPDX-License-Identifier: Apache-2.0 */
/* A config of Milgi that agrees on one kind of handshake. */
#include <milgi/config.h>

#include "shake.h"

static void must(int result, const char *what)
{
    if (result < 0)
        bench_die("milgi: %s: %s", what, milgi_error_text(result));
}

void milgi_shake(struct milgi_config *c, enum shake shake, uint16_t suite)
{
    static const uint16_t hybrid[] = { MILGI_GROUP_X25519MLKEM768 };
    static const uint16_t classic[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    static const uint16_t suites_12[] = { MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256,
        MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256 };
    bool old = shake == SHAKE_12;

    if (old)
        must(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_2), "versions");
    must(milgi_config_set_suites(c, old ? suites_12 : &suite, old ? 2 : 1), "suites");
    /* In TLS 1.2 the certificate's curve is to be among the groups, too. */
    must(milgi_config_set_groups(c, shake == SHAKE_13_HYBRID ? hybrid : classic, old ? 2 : 1), "groups");
}

bool milgi_shakes(enum shake shake)
{
    const uint16_t hybrid = MILGI_GROUP_X25519MLKEM768;
    struct milgi_config *c = milgi_config_new(MILGI_CLIENT);
    bool known = c && (shake != SHAKE_13_HYBRID || milgi_config_set_groups(c, &hybrid, 1) == 0);

    milgi_config_unref(c);
    return known;
}
