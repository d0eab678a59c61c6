/* SPDX-License-Identifier: Apache-2.0 */
/* A device that signs wrongly: nothing of such a signature leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/sim/manual.h"
#include "fake_identity.h"
#include "pair.h"

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

/* A server whose signatures come from a device that flips a bit; |libcrypto|: it says that it is ours. */
static void play(enum milgi__key_type type, bool libcrypto, bool rerun)
{
    struct fake_options identity = { .type = type };
    struct milgi_config *c = fake_freeze(fake_config(MILGI_CLIENT, NULL));
    struct milgi_config *s = fake_freeze(fake_config(MILGI_SERVER, &identity));
    struct milgi_engine_options options;
    struct milgi_op *op = NULL;
    milgi_engine_options_init(&options);
    options.rerun = rerun;
    struct pair_setup setup = { .config = { c, s },
        .options = &options,
        .server_name = "server.test",
        .seed = 5,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(c);
    milgi_config_unref(s);
    assert_int_equal(milgi_device_new("sim:manual", &server->device[0], NULL), 0);
    server->devices_n = 1;
    if (libcrypto)
        server->device[0]->caps.flags |= MILGI_CAP_LIBCRYPTO;
    else
        server->device[0]->caps.flags &= ~(uint32_t)MILGI_CAP_LIBCRYPTO;
    assert_int_equal(milgi_engine_add_device(server->engine, server->device[0]), 1);
    assert_int_equal(milgi_engine_route(server->engine, MILGI_OP_BIT(MILGI_OP_SIGN), 1, 0), 0);
    pair_settle(&pair);
    assert_int_equal(milgi__sim_pending(server->device[0], &op, 1), 1);
    assert_int_equal(op->type, MILGI_OP_SIGN);
    milgi__sim_finish(server->device[0], 0, MILGI_OP_OK);
    assert_int_equal(op->status, MILGI_OP_OK);
    op->u.sign.sig[op->u.sign.sig_len / 2] ^= 1;
    pair_settle(&pair);
}

static void assert_made_good(void)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(server->engine, &stats);
    assert_int_equal(stats.device[1].broken, 1);
    assert_int_equal(stats.device[1].rerun, 1);
    assert_true(client->established);
    assert_true(server->established);
}

static void assert_kept_back(void)
{
    assert_true(server->closed);
    assert_int_equal(server->reason.error, MILGI_EDEVICE);
    assert_int_equal(server->reason.op, MILGI_OP_SIGN);
    assert_int_equal(server->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    /* The client has heard of the failure and nothing that it could have judged itself. */
    assert_true(client->closed);
    assert_true(client->reason.alert_from_peer);
    assert_int_equal(client->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
}

static const enum milgi__key_type keys[] = { MILGI__KEY_RSA, MILGI__KEY_RSA_PSS, MILGI__KEY_P256, MILGI__KEY_P384,
    MILGI__KEY_P521, MILGI__KEY_ED25519 };

static bool is_rsa(enum milgi__key_type type)
{
    return type == MILGI__KEY_RSA || type == MILGI__KEY_RSA_PSS;
}

static void a_wrong_rsa_signature_does_not_leave_whoever_made_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(keys); i++) {
        if (!is_rsa(keys[i]))
            continue;
        for (int libcrypto = 0; libcrypto < 2; libcrypto++) {
            play(keys[i], libcrypto, false);
            assert_kept_back();
            pair_fini(&pair);
            play(keys[i], libcrypto, true);
            assert_made_good();
            pair_fini(&pair);
        }
    }
}

static void any_wrong_signature_of_a_foreign_device_does_not_leave(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(keys); i++) {
        play(keys[i], false, false);
        assert_kept_back();
        pair_fini(&pair);
        play(keys[i], false, true);
        assert_made_good();
        pair_fini(&pair);
    }
}

/* The check that is saved: such a device is as good as we are. The client is who finds out. */
static void other_signatures_of_our_own_libcrypto_are_not_looked_at_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(keys); i++) {
        if (is_rsa(keys[i]))
            continue;
        play(keys[i], true, true);
        assert_true(client->closed);
        assert_false(client->reason.alert_from_peer);
        assert_int_equal(client->reason.alert, MILGI_ALERT_DECRYPT_ERROR);
        pair_fini(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_rsa_signature_does_not_leave_whoever_made_it),
        cmocka_unit_test(any_wrong_signature_of_a_foreign_device_does_not_leave),
        cmocka_unit_test(other_signatures_of_our_own_libcrypto_are_not_looked_at_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
