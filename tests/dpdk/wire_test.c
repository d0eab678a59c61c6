/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same connection with the same randomness puts the same bytes on the wire and before the application, whichever
 * cryptodev does its records. ctest-timeout: 120
 */
#include "bed.h"

#include <string.h>
#include <time.h>

#include "base/base.h"
#include "configs.h"
#include "pair.h"

#define TEXT 100000u

static struct identity *root, *leaf;

/* Pieces of every size, in both directions at once. */
static void talk(struct pair *pair, const uint8_t *text)
{
    size_t at[2] = { 0, 0 };

    for (unsigned i = 0; at[0] < TEXT || at[1] < TEXT; i++) {
        struct pair_side *side = &pair->side[i % 2];
        size_t len = MILGI__MIN((size_t)(i * i * 37 % 20000), TEXT - at[i % 2]);
        if (len > 0)
            assert_true(milgi_conn_write(side->conn, text + at[i % 2], len) >= 0);
        at[i % 2] += len;
        pair_settle(pair);
    }
}

static void check_talked(struct pair *pair, const uint8_t *text)
{
    for (int role = 0; role < 2; role++) {
        assert_int_equal(pair->side[role].got.len, TEXT);
        assert_memory_equal(pair->side[role].got.p, text, TEXT);
        assert_false(pair->side[role].closed);
    }
}

static void run(struct pair *pair, struct milgi_config *const config[2], const char *device, const uint8_t *text)
{
    struct pair_setup setup = { .config = { config[0], config[1] },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 5,
        .wall_s = (int64_t)time(NULL) };

    pair_init(pair, &setup);
    pair->keep_wire = true;
    pair_settle(pair);
    talk(pair, text);
    check_talked(pair, text);
}

static void check_alike(const char *version, unsigned suite, const char *device)
{
    static uint8_t text[TEXT];
    struct milgi_config *config[2];
    struct pair cpu, dpdk;

    for (size_t i = 0; i < TEXT; i++)
        text[i] = (uint8_t)(i * 7 + i / 256);
    for (int role = 0; role < 2; role++)
        config[role] = bed_config((enum milgi_role)role, version, suite, leaf, root);
    run(&cpu, config, NULL, text);
    run(&dpdk, config, device, text);
    for (int role = 0; role < 2; role++) {
        const struct pair_bytes *one = &cpu.side[role].sent_wire, *other = &dpdk.side[role].sent_wire;
        assert_int_equal(one->len, other->len);
        assert_memory_equal(one->p, other->p, one->len);
        struct milgi_device_dpdk_stats stats = bed_stats(dpdk.side[role].device[0]);
        assert_true(stats.cryptodev_ops > 2 * TEXT / 16384);
        assert_int_equal(stats.software_ops, 0);
    }
    pair_fini(&cpu);
    pair_fini(&dpdk);
    milgi_config_unref(config[0]);
    milgi_config_unref(config[1]);
}

static void check_all(const char *version, const char *device)
{
    struct milgi_device *one = bed_device(device);
    bool has[BED_SUITES];

    for (int i = 0; i < BED_SUITES; i++)
        has[i] = one->ops->supports(one, MILGI_OP_SEAL, bed_suite[i]);
    milgi_device_free(one);
    for (int i = 0; i < BED_SUITES; i++) {
        if (has[i])
            check_alike(version, (unsigned)i, device);
    }
}

static const char *const devices[] = {
    "dpdk:vdev=crypto_openssl,memory=8m",
    "dpdk:vdev=crypto_aesni_mb,memory=8m",
    "dpdk:vdev=crypto_aesni_gcm,memory=8m",
    "dpdk:vdev=crypto_chacha20_poly1305,memory=8m",
    "dpdk:vdev=crypto_scheduler,mode=round-robin,workers=2,memory=8m",
    "dpdk:vdev=crypto_aesni_mb,copy,memory=8m",
};

static void the_wire_of_tls13_is_the_inline_devices(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(devices); i++)
        check_all("1.3", devices[i]);
}

static void the_wire_of_tls12_is_the_inline_devices(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(devices); i++)
        check_all("1.2", devices[i]);
}

static int setup(void **state)
{
    (void)state;
    root = identity_root(IDENTITY_ED25519, "Root"); /* whose signatures are no accident */
    leaf = identity_leaf(root, IDENTITY_ED25519, "DNS:server.test");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    identity_free(leaf);
    identity_free(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wire_of_tls13_is_the_inline_devices),
        cmocka_unit_test(the_wire_of_tls12_is_the_inline_devices),
    };

    bed_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
