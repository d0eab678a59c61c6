/* SPDX-License-Identifier: Apache-2.0 */
#include "configs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int rv, const char *what)
{
    if (rv == 0)
        return;
    fprintf(stderr, "configs: %s: %s\n", what, milgi_error_text(rv));
    abort();
}

struct milgi_credential *configs_credential(const struct identity *identity)
{
    struct milgi_credential *credential;
    must(milgi_credential_new_pem(identity->chain_pem, strlen(identity->chain_pem), identity->key_pem,
             strlen(identity->key_pem), &credential),
        "credential");
    return credential;
}

struct milgi_config *configs_begin(enum milgi_role role, const struct identity *leaf, const struct identity *root)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    struct milgi_config *config = milgi_config_new(role);
    must(config ? 0 : MILGI_ENOMEM, "config");
    must(milgi_config_set_groups(config, groups, sizeof groups / sizeof groups[0]), "groups");
    if (leaf) {
        struct milgi_credential *credential = configs_credential(leaf);
        must(milgi_config_add_credential(config, credential), "add credential");
        milgi_credential_unref(credential);
    }
    if (root) {
        struct milgi_trust *trust;
        must(milgi_trust_new_pem(root->cert_pem, strlen(root->cert_pem), &trust), "trust");
        must(milgi_config_set_trust(config, trust), "set trust");
        milgi_trust_unref(trust);
    }
    return config;
}

struct milgi_config *configs_freeze(struct milgi_config *config)
{
    const char *why = "";
    must(milgi_config_freeze(config, &why), why);
    return config;
}

void configs_pair_begin(struct configs_pair *pair, enum identity_key key)
{
    pair->root = identity_root(key, "Root");
    pair->leaf = identity_leaf(pair->root, key, "DNS:server.test");
    pair->config[MILGI_SERVER] = configs_freeze(configs_begin(MILGI_SERVER, pair->leaf, NULL));
    pair->config[MILGI_CLIENT] = configs_freeze(configs_begin(MILGI_CLIENT, NULL, pair->root));
}

void configs_pair_end(struct configs_pair *pair)
{
    for (int role = 0; role < 2; role++)
        milgi_config_unref(pair->config[role]);
    identity_free(pair->leaf);
    identity_free(pair->root);
}
