/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

struct fixture fixture;

#define C MILGI_CLIENT
#define S MILGI_SERVER
#define MSG(name) MILGI__MSG_##name

const struct place places[] = {
    { C, MSG(CLIENT_HELLO), 0, false, false, true, "ClientHello" },
    { C, MSG(CLIENT_HELLO), 1, true, false, true, "second ClientHello" },
    { C, MSG(CERTIFICATE), 0, false, true, false, "Certificate of the client" },
    { C, MSG(CERTIFICATE_VERIFY), 0, false, true, false, "CertificateVerify of the client" },
    { C, MSG(FINISHED), 0, false, false, true, "Finished of the client" },
    { S, MSG(SERVER_HELLO), 0, true, false, true, "HelloRetryRequest" },
    { S, MSG(SERVER_HELLO), 0, false, false, true, "ServerHello" },
    { S, MSG(SERVER_HELLO), 1, true, false, true, "ServerHello after a retry" },
    { S, MSG(ENCRYPTED_EXTENSIONS), 0, false, true, false, "EncryptedExtensions" },
    { S, MSG(CERTIFICATE_REQUEST), 0, false, true, false, "CertificateRequest" },
    { S, MSG(CERTIFICATE), 0, false, false, false, "Certificate of the server" },
    { S, MSG(CERTIFICATE_VERIFY), 0, false, false, false, "CertificateVerify of the server" },
    { S, MSG(FINISHED), 0, false, false, true, "Finished of the server" },
};
const size_t places_n = MILGI__COUNT(places);

int fixture_setup(void **state)
{
    (void)state;
    struct milgi_trust *trust;
    fixture.root = identity_root(IDENTITY_ED25519, "Root");
    fixture.leaf = identity_leaf(fixture.root, IDENTITY_ED25519, "DNS:server.test");
    fixture.credential = configs_credential(fixture.leaf);
    fixture.server = configs_freeze(configs_begin(MILGI_SERVER, fixture.leaf, NULL));
    fixture.client = configs_freeze(configs_begin(MILGI_CLIENT, fixture.leaf, fixture.root));
    fixture.asking = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    MUST(milgi_trust_new_pem(fixture.root->cert_pem, strlen(fixture.root->cert_pem), &trust));
    MUST(milgi_config_set_trust(fixture.asking, trust));
    milgi_trust_unref(trust);
    configs_freeze(fixture.asking);
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    milgi_config_unref(fixture.server);
    milgi_config_unref(fixture.client);
    milgi_config_unref(fixture.asking);
    milgi_credential_unref(fixture.credential);
    identity_free(fixture.leaf);
    identity_free(fixture.root);
    return 0;
}

struct liar_setup setup_of(const struct place *place)
{
    bool client = place->role == MILGI_CLIENT;
    struct liar_setup setup = {
        .role = place->role,
        .victim = client ? (place->auth ? fixture.asking : fixture.server) : fixture.client,
        .credential = client && !place->auth ? NULL : fixture.credential,
        .retry = place->retry,
        .ask = place->auth && !client,
        /* A client offers one share, of X25519: the retry has to ask for another. */
        .group = !client && place->retry ? MILGI_GROUP_SECP256R1 : 0,
    };
    return setup;
}

void go_to(struct liar *liar, const struct place *place, liar_edit_cb edit, void *arg)
{
    struct liar_setup setup = setup_of(place);
    liar_init(liar, &setup);
    assert_true(liar_step_to(liar, place->type, place->nth));
    liar->setup.edit = edit;
    liar->setup.arg = arg;
}

void go_on(struct liar *liar)
{
    while (liar_step(liar))
        continue;
}

void open_as(struct liar *liar, enum milgi_role role)
{
    struct place place = { .role = role };
    struct liar_setup setup = setup_of(&place);
    liar_init(liar, &setup);
    liar_handshake(liar);
}

void expect_silence(const struct liar *liar)
{
    assert_false(liar->victim->established);
    assert_int_equal(liar->victim->got.len, 0);
}
