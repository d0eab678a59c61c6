/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libssl, with an ENGINE that signs on the device: what it does between asking and having the signature is the design.
 * ENGINEs are deprecated in OpenSSL 3.0 and gone in 4.0; they are what asynchronous devices were made for there.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <string.h>

#include <openssl/ec.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "offload.h"

/* One server at a time: an EC_KEY_METHOD has no context. */
static struct {
    struct lane *lane;
    wait_for_signature wait;
    ENGINE *engine;
    EC_KEY_METHOD *method;
} our;

static int engine_sign(int type, const unsigned char *digest, int digest_len, unsigned char *sig, unsigned *sig_len,
    const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
    struct signing signing;

    (void)type;
    (void)kinv;
    (void)r;
    (void)key;
    if (!our.wait(our.lane, &signing, digest, (size_t)digest_len) || signing.op.status != MILGI_OP_OK)
        return 0;
    memcpy(sig, signing.op.u.sign.sig, signing.op.u.sign.sig_len);
    *sig_len = signing.op.u.sign.sig_len;
    return 1;
}

static void make_engine(void)
{
    our.engine = ENGINE_new();
    our.method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
    if (!our.engine || !our.method)
        bench_die("libcrypto: no engine");
    EC_KEY_METHOD_set_sign(our.method, engine_sign, NULL, NULL);
    if (ENGINE_set_id(our.engine, "offload") != 1 || ENGINE_set_name(our.engine, "bench/offload") != 1 ||
        ENGINE_set_EC(our.engine, our.method) != 1)
        bench_die("libcrypto: no engine");
}

/* The certificate's key as the engine's: its public half is all that is known here. */
static EVP_PKEY *engine_key(X509 *x509)
{
    const EC_KEY *public = EVP_PKEY_get0_EC_KEY(X509_get0_pubkey(x509));
    EC_KEY *ec = EC_KEY_new_method(our.engine);
    EVP_PKEY *key = EVP_PKEY_new();

    if (!public || !ec || !key || EC_KEY_set_group(ec, EC_KEY_get0_group(public)) != 1 ||
        EC_KEY_set_public_key(ec, EC_KEY_get0_public_key(public)) != 1 || EVP_PKEY_assign_EC_KEY(key, ec) != 1)
        bench_die("libcrypto: cannot give the key to the engine: it has to be an EC key");
    return key;
}

static void use_cert(SSL_CTX *ctx, const struct bench_cert *cert)
{
    BIO *in = BIO_new_mem_buf(cert->cert_pem, (int)cert->cert_len);
    X509 *x509 = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;

    if (!x509)
        bench_die("libcrypto: cannot read the certificate");
    EVP_PKEY *key = engine_key(x509);
    if (SSL_CTX_use_certificate(ctx, x509) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
        bench_die("libssl: cannot use the certificate");
    EVP_PKEY_free(key);
    X509_free(x509);
    BIO_free(in);
}

SSL_CTX *openssl_context(const struct bench_cert *cert, struct lane *lane, wait_for_signature wait)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    make_engine();
    our.lane = lane;
    our.wait = wait;
    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set1_groups_list(ctx, "X25519") != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1)
        bench_die("libssl: cannot set up");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* As many bytes as there are with one read(), instead of a header and then a body. */
    SSL_CTX_set_read_ahead(ctx, 1);
    use_cert(ctx, cert);
    return ctx;
}

void openssl_context_free(SSL_CTX *ctx)
{
    SSL_CTX_free(ctx);
    ENGINE_free(our.engine);
    EC_KEY_METHOD_free(our.method);
}

SSL *openssl_new(SSL_CTX *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);

    if (!ssl || SSL_set_fd(ssl, fd) != 1)
        bench_die("libssl: no connection");
    SSL_set_accept_state(ssl);
    return ssl;
}
