/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

struct fixture fixture;

int fixture_setup(void **state)
{
    (void)state;
    fixture.root = identity_root(IDENTITY_ED25519, "Root");
    fixture.leaf = identity_leaf(fixture.root, IDENTITY_ED25519, "DNS:server.test");
    fixture.credential = configs_credential(fixture.leaf);
    fixture.server = configs_freeze(configs_begin(MILGI_SERVER, fixture.leaf, NULL));
    fixture.client = configs_freeze(configs_begin(MILGI_CLIENT, NULL, fixture.root));
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    milgi_config_unref(fixture.server);
    milgi_config_unref(fixture.client);
    milgi_credential_unref(fixture.credential);
    identity_free(fixture.leaf);
    identity_free(fixture.root);
    return 0;
}

struct liar_setup setup_as(enum milgi_role role)
{
    return (struct liar_setup){
        .role = role,
        .victim = role == MILGI_CLIENT ? fixture.server : fixture.client,
        .credential = role == MILGI_CLIENT ? NULL : fixture.credential,
    };
}

void open_as(struct liar *liar, enum milgi_role role, const char *device)
{
    struct liar_setup setup = setup_as(role);
    setup.device = device;
    liar_init(liar, &setup);
    liar_handshake(liar);
}

static struct milgi_engine_stats stats_of(const struct liar *liar)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(liar->victim->engine, &stats);
    return stats;
}

size_t memory_of(const struct liar *liar)
{
    return stats_of(liar).memory;
}

size_t peak_of(const struct liar *liar)
{
    return stats_of(liar).memory_peak;
}

uint64_t records_in(const struct liar *liar)
{
    struct milgi_conn_info info;
    milgi_conn_info(liar->victim->conn, &info);
    return info.records_in;
}
