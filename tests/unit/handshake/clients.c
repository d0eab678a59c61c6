/* SPDX-License-Identifier: Apache-2.0 */
/* See clients.h. */
#include "clients.h"

static struct milgi_config *client_of(uint16_t version)
{
    struct milgi_config *client = client_config();
    MUST(milgi_config_set_versions(client, version, version));
    return client;
}

static struct milgi_config *server_of(uint16_t version, unsigned mode)
{
    struct milgi_config *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_versions(server, version, version));
    MUST(milgi_config_set_trust(server, fixture.trust));
    MUST(milgi_config_set_client_auth(server, mode));
    return server;
}

void clients_with_certificates(uint16_t version)
{
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned mode = MILGI_CLIENT_AUTH_NONE; mode <= MILGI_CLIENT_AUTH_REQUIRED; mode++) {
            struct milgi_config *client = client_of(version);
            MUST(milgi_config_add_credential(client, fixture.client_credential[i]));
            struct loop *loop = loop_of(client, server_of(version, mode));
            loop_pump(loop);
            assert_open(loop);
            bool asked = mode != MILGI_CLIENT_AUTH_NONE;
            assert_int_equal(milgi__hs_result(loop->server.hs)->version, version);
            assert_int_equal(milgi__hs_result(loop->server.hs)->peer_authenticated, asked);
            assert_int_equal(milgi__hs_result(loop->server.hs)->peer_chain_n, asked ? 1 : 0);
            assert_int_equal(loop_sent(&loop->client, MILGI__MSG_CERTIFICATE_VERIFY, 0) != NULL, asked);
            loop_free(loop);
        }
    }
}

void clients_without_certificate(uint16_t version, int alert)
{
    for (unsigned mode = MILGI_CLIENT_AUTH_OPTIONAL; mode <= MILGI_CLIENT_AUTH_REQUIRED; mode++) {
        struct loop *loop = loop_of(client_of(version), server_of(version, mode));
        loop_pump(loop);
        if (mode == MILGI_CLIENT_AUTH_OPTIONAL) {
            assert_open(loop);
            assert_false(milgi__hs_result(loop->server.hs)->peer_authenticated);
        } else {
            assert_alert(&loop->server, alert);
        }
        loop_free(loop);
    }
}
