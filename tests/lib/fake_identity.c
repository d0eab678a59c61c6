/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_identity.h"

#include <stdio.h>
#include <stdlib.h>

#define CA_SEED 0x6361000000000000u /* apart from those of leaves */

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fake_identity: %s failed\n", what);
    abort();
}

static unsigned bits_of(enum milgi__key_type type, unsigned bits)
{
    switch (type) {
    case MILGI__KEY_RSA:
    case MILGI__KEY_RSA_PSS: return bits ? bits : 2048;
    case MILGI__KEY_P384: return 384;
    case MILGI__KEY_P521: return 521;
    default: return 256;
    }
}

/* Level 0 is the root, the intermediates follow. */
static void ca_key(const struct fake_options *o, unsigned level, uint8_t key[MILGI__FAKE_KEY_LEN])
{
    milgi__fake_private_key(MILGI__KEY_P256, 256, CA_SEED + (o->root << 8) + level, key);
}

static char *append(char *out, const struct milgi__fake_spec *spec)
{
    uint8_t der[MILGI__FAKE_CERT_MAX];
    size_t len = milgi__fake_certificate(spec, der);
    must(len > 0, "certificate");
    return out + milgi__fake_pem("CERTIFICATE", der, len, out);
}

static void make_root(const struct fake_options *o, char *out)
{
    uint8_t key[MILGI__FAKE_KEY_LEN];
    ca_key(o, 0, key);
    append(out, &(struct milgi__fake_spec){ key, key, MILGI__FAKE_CA, 0, INT64_MAX, "fake root" });
}

void fake_identity(const struct fake_options *options, struct fake_identity *identity)
{
    struct fake_options o = options ? *options : (struct fake_options){ 0 };
    enum milgi__key_type type = o.type != MILGI__KEY_NONE ? o.type : MILGI__KEY_P256;
    uint8_t key[MILGI__FAKE_KEY_LEN], issuer[MILGI__FAKE_KEY_LEN];
    must(o.intermediates <= 3, "number of intermediates");
    must(o.seed < CA_SEED, "seed");
    milgi__fake_private_key(type, bits_of(type, o.bits), o.seed, key);
    ca_key(&o, o.intermediates, issuer);
    struct milgi__fake_spec spec = { key, issuer,
        o.flags ? o.flags : MILGI__FAKE_MAY_SIGN | MILGI__FAKE_SERVER | MILGI__FAKE_CLIENT,
        o.not_before_s, o.not_after_s || o.not_before_s ? o.not_after_s : INT64_MAX,
        o.names ? o.names : "server.test" };
    milgi__fake_pem("PRIVATE KEY", key, sizeof key, identity->key_pem);
    char *out = append(identity->chain_pem, &spec);
    for (unsigned level = o.intermediates; level > 0; level--) {
        ca_key(&o, level, key);
        ca_key(&o, level - 1, issuer);
        out = append(out,
            &(struct milgi__fake_spec){ key, issuer, MILGI__FAKE_CA, 0, INT64_MAX, "fake intermediate" });
    }
    make_root(&o, identity->root_pem);
}

struct milgi_credential *fake_credential(const struct fake_options *options)
{
    struct fake_identity identity;
    struct milgi_credential *credential = NULL;
    fake_identity(options, &identity);
    must(milgi_credential_new_pem(identity.chain_pem, strlen(identity.chain_pem), identity.key_pem,
             strlen(identity.key_pem), &credential) == 0,
        "milgi_credential_new_pem()");
    return credential;
}

struct milgi_trust *fake_trust(uint64_t root)
{
    char pem[MILGI__FAKE_PEM_MAX];
    struct milgi_trust *trust = NULL;
    make_root(&(struct fake_options){ .root = root }, pem);
    must(milgi_trust_new_pem(pem, strlen(pem), &trust) == 0, "milgi_trust_new_pem()");
    return trust;
}

struct milgi_config *fake_config(enum milgi_role role, const struct fake_options *options)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    struct milgi_config *config = milgi_config_new(role);
    must(config != NULL, "milgi_config_new()");
    must(milgi_config_set_groups(config, groups, sizeof groups / sizeof groups[0]) == 0, "milgi_config_set_groups()");
    if (role == MILGI_SERVER) {
        struct milgi_credential *credential = fake_credential(options);
        must(milgi_config_add_credential(config, credential) == 0, "milgi_config_add_credential()");
        milgi_credential_unref(credential);
    } else {
        struct milgi_trust *trust = fake_trust(options ? options->root : 0);
        must(milgi_config_set_trust(config, trust) == 0, "milgi_config_set_trust()");
        milgi_trust_unref(trust);
    }
    return config;
}

struct milgi_config *fake_freeze(struct milgi_config *config)
{
    const char *why = NULL;
    int e = milgi_config_freeze(config, &why);
    must(e == 0, why ? why : "milgi_config_freeze()");
    return config;
}
