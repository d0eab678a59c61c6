/* SPDX-License-Identifier: Apache-2.0 */
/* Chains as long as signatures that withstand quantum computers make them: 20 and 50 KB, with the limits by default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "config/config.h"
#include "configs.h"
#include "op/material.h"
#include "pair.h"

#define CERTIFICATES 5

/* "DNS:name-0.of-many.test,...": |names| of them, behind |first|. */
static char *many_names(const char *first, unsigned names)
{
    size_t room = 64 + (size_t)names * 40;
    char *text = malloc(room);
    int at = snprintf(text, room, "DNS:%s", first);
    for (unsigned i = 0; i < names; i++)
        at += snprintf(text + at, room - (size_t)at, ",DNS:name-%05u.one-of-many.test", i);
    return text;
}

struct chain {
    struct identity *identity[CERTIFICATES]; /* the root first, the leaf last */
};

/* About |size| bytes in all that are sent. */
static struct chain chain_new(size_t size, enum identity_purpose purpose)
{
    struct chain chain = { { NULL } };
    unsigned names = (unsigned)(size / (CERTIFICATES - 1) / 32);
    chain.identity[0] = identity_root(IDENTITY_P256, "a root");
    for (unsigned i = 1; i < CERTIFICATES; i++) {
        bool leaf = i == CERTIFICATES - 1;
        char *text = many_names(leaf ? "server.test" : "issuer.test", names);
        chain.identity[i] = identity_new(&(struct identity_options){
            .key = IDENTITY_P256,
            .common_name = leaf ? "leaf" : "issuer",
            .names = text,
            .is_ca = !leaf,
            .purpose = leaf ? purpose : IDENTITY_ANY,
            .issuer = chain.identity[i - 1],
        });
        free(text);
    }
    return chain;
}

static void chain_free(struct chain *chain)
{
    for (unsigned i = 0; i < CERTIFICATES; i++)
        identity_free(chain->identity[i]);
}

/* Not of configs.h, whose groups are few: the first hello has its two shares, too. */
static struct milgi_config *config_of(enum milgi_role role, const struct chain *own, const struct chain *peers)
{
    struct milgi_config *config = milgi_config_new(role);
    if (own) {
        struct milgi_credential *credential = configs_credential(own->identity[CERTIFICATES - 1]);
        assert_int_equal(milgi_config_add_credential(config, credential), 0);
        milgi_credential_unref(credential);
    }
    if (peers) {
        const char *pem = peers->identity[0]->cert_pem;
        struct milgi_trust *trust;
        assert_int_equal(milgi_trust_new_pem(pem, strlen(pem), &trust), 0);
        assert_int_equal(milgi_config_set_trust(config, trust), 0);
        milgi_trust_unref(trust);
    }
    return configs_freeze(config);
}

static void open_with(size_t size, const char *device, size_t piece)
{
    struct chain server = chain_new(size, IDENTITY_FOR_SERVER), client = chain_new(size, IDENTITY_FOR_CLIENT);
    struct pair_setup setup = {
        .config = { config_of(MILGI_CLIENT, &client, &server), config_of(MILGI_SERVER, &server, &client) },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 3,
    };
    assert_in_range(setup.config[MILGI_SERVER]->credentials[0]->chain_len, size * 9 / 10, size * 11 / 10);
    assert_in_range(setup.config[MILGI_CLIENT]->credentials[0]->chain_len, size * 9 / 10, size * 11 / 10);
    struct pair pair;
    pair_init(&pair, &setup);
    pair.piece = piece;
    pair_settle(&pair);
    for (int role = 0; role < 2; role++) {
        struct milgi_conn_info info;
        if (!pair.side[role].established)
            fail_msg("%zu bytes, %s: %s", size, device ? device : "inline", pair.side[role].reason.detail);
        milgi_conn_info(pair.side[role].conn, &info);
        assert_true(info.peer_authenticated);
    }
    pair_fini(&pair);
    for (int role = 0; role < 2; role++)
        milgi_config_unref(setup.config[role]);
    chain_free(&server);
    chain_free(&client);
}

static void chains_of_20_and_50_kilobytes_are_taken_from_both_sides(void **state)
{
    static const size_t sizes[] = { 20000, 50000 };
    static const char *const devices[] = { NULL, "sim:latency=1ms" };
    static const size_t pieces[] = { 0, 1400 };

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        open_with(sizes[i % 2], devices[i / 2 % 2], pieces[i / 4]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_of_20_and_50_kilobytes_are_taken_from_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
