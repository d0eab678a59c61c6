/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X25519. libcrypto exports no bare function, and EVP takes a tenth as long as the multiplication to look up, by name
 * and under locks, what a new private key may be used with. So what EVP would find is found once, and then called
 * (provider-keymgmt(7), provider-keyexch(7)).
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "crypto/openssl3/openssl3.h"

#define LEN 32

/* RFC 7748 4.1. */
static const uint8_t base_point[LEN] = { 9 };

struct milgi__x25519 {
    EVP_KEYMGMT *manager; /* keeps the provider */
    void *provider;       /* its context */
    OSSL_FUNC_keymgmt_new_fn *key_new;
    OSSL_FUNC_keymgmt_free_fn *key_free; /* wipes */
    OSSL_FUNC_keymgmt_import_fn *key_import;
    OSSL_FUNC_keyexch_newctx_fn *ctx_new;
    OSSL_FUNC_keyexch_freectx_fn *ctx_free;
    OSSL_FUNC_keyexch_init_fn *init;
    OSSL_FUNC_keyexch_set_peer_fn *set_peer;
    OSSL_FUNC_keyexch_derive_fn *derive;
};

/* --- set-up ----------------------------------------------------------------------------------------------------- */

static void find_management(struct milgi__x25519 *x, const OSSL_DISPATCH *f)
{
    for (; f->function_id != 0; f++) {
        switch (f->function_id) {
        case OSSL_FUNC_KEYMGMT_NEW: x->key_new = OSSL_FUNC_keymgmt_new(f); break;
        case OSSL_FUNC_KEYMGMT_FREE: x->key_free = OSSL_FUNC_keymgmt_free(f); break;
        case OSSL_FUNC_KEYMGMT_IMPORT: x->key_import = OSSL_FUNC_keymgmt_import(f); break;
        default: break;
        }
    }
}

static void find_exchange(struct milgi__x25519 *x, const OSSL_DISPATCH *f)
{
    for (; f->function_id != 0; f++) {
        switch (f->function_id) {
        case OSSL_FUNC_KEYEXCH_NEWCTX: x->ctx_new = OSSL_FUNC_keyexch_newctx(f); break;
        case OSSL_FUNC_KEYEXCH_FREECTX: x->ctx_free = OSSL_FUNC_keyexch_freectx(f); break;
        case OSSL_FUNC_KEYEXCH_INIT: x->init = OSSL_FUNC_keyexch_init(f); break;
        case OSSL_FUNC_KEYEXCH_SET_PEER: x->set_peer = OSSL_FUNC_keyexch_set_peer(f); break;
        case OSSL_FUNC_KEYEXCH_DERIVE: x->derive = OSSL_FUNC_keyexch_derive(f); break;
        default: break;
        }
    }
}

struct milgi__x25519 *milgi__x25519_new(void)
{
    struct milgi__x25519 *x = milgi__alloc(sizeof *x);

    if (!x)
        return NULL;
    x->manager = EVP_KEYMGMT_fetch(NULL, "X25519", NULL);
    const OSSL_PROVIDER *provider = x->manager ? EVP_KEYMGMT_get0_provider(x->manager) : NULL;
    const OSSL_DISPATCH *management = NULL;
    const OSSL_DISPATCH *exchange = NULL;
    if (provider) {
        x->provider = OSSL_PROVIDER_get0_provider_ctx(provider);
        management = milgi__provided(provider, OSSL_OP_KEYMGMT, "X25519");
        exchange = milgi__provided(provider, OSSL_OP_KEYEXCH, "X25519");
    }
    if (management)
        find_management(x, management);
    if (exchange)
        find_exchange(x, exchange);
    if (x->key_new && x->key_free && x->key_import && x->ctx_new &&
        x->ctx_free && x->init && x->set_peer && x->derive)
        return x;
    milgi__x25519_free(x);
    return NULL;
}

void milgi__x25519_free(struct milgi__x25519 *x)
{
    if (!x)
        return;
    EVP_KEYMGMT_free(x->manager);
    milgi__free(x);
}

/* --- the function ----------------------------------------------------------------------------------------------- */

static OSSL_PARAM param(const char *name, const uint8_t *value)
{
    /* The parameters of an import are only read. */
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)value, LEN);
}

/* A key of the provider's. With a public key at its side a private one is taken as it is, else libcrypto would compute
 * the public key; what it is plays no part in a derivation. */
static void *import(const struct milgi__x25519 *x, const uint8_t *pub, const uint8_t *secret)
{
    OSSL_PARAM params[3] = { param(OSSL_PKEY_PARAM_PUB_KEY, pub), OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end() };
    int selection = OSSL_KEYMGMT_SELECT_PUBLIC_KEY;
    void *key = x->key_new(x->provider);

    if (secret) {
        params[1] = param(OSSL_PKEY_PARAM_PRIV_KEY, secret);
        selection = OSSL_KEYMGMT_SELECT_KEYPAIR;
    }
    if (key && x->key_import(key, selection, params) == 1)
        return key;
    if (key)
        x->key_free(key);
    return NULL;
}

int milgi__x25519(struct milgi__crypto *cx, const uint8_t *secret, const uint8_t *peer, uint8_t *shared)
{
    const struct milgi__x25519 *x = cx->own->x25519;
    void *own = import(x, base_point, secret);
    void *other = import(x, peer, NULL);
    void *ctx = x->ctx_new(x->provider);
    int result = MILGI__BROKEN;
    size_t len = LEN;

    if (own && other && ctx && x->init(ctx, own, NULL) == 1 && x->set_peer(ctx, other) == 1) {
        /*= RFC8446 7.4.2: "Implementations MUST check whether the computed Diffie-Hellman shared secret is the
         *= all-zero value and abort if so" */
        /* libcrypto does: with everything set up this is the one way to fail. */
        result = x->derive(ctx, shared, &len, LEN) == 1 && len == LEN ? 0 : MILGI__BAD;
    }
    if (ctx)
        x->ctx_free(ctx);
    if (other)
        x->key_free(other);
    if (own)
        x->key_free(own);
    return result == 0 ? 0 : milgi__fail(result);
}

int milgi__x25519_base(struct milgi__crypto *cx, const uint8_t *secret, uint8_t *pub)
{
    return milgi__x25519(cx, secret, base_point, pub);
}
