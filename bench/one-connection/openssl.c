/* SPDX-License-Identifier: Apache-2.0 */
/* libssl's sending half: SSL_write() into a BIO that takes everything and keeps nothing. */
#include <stdlib.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "one.h"

struct openssl {
    SSL_CTX *ctx[2];
    SSL *ssl[2];
    BIO_METHOD *sink;
    uint8_t message[RECORD];
};

static int sink_write(BIO *bio, const char *data, int len)
{
    (void)bio;
    (void)data;
    return len;
}

static long sink_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static SSL_CTX *context(const SSL_METHOD *method, const struct suite *suite)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, suite->openssl) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1)
        bench_die("libssl: cannot set up");
    return ctx;
}

static void use_cert(SSL_CTX *ctx, const struct bench_cert *cert)
{
    BIO *cert_in = BIO_new_mem_buf(cert->cert_pem, (int)cert->cert_len);
    BIO *key_in = BIO_new_mem_buf(cert->key_pem, (int)cert->key_len);
    X509 *x509 = cert_in ? PEM_read_bio_X509(cert_in, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_in ? PEM_read_bio_PrivateKey(key_in, NULL, NULL, NULL) : NULL;

    if (!x509 || !key || SSL_CTX_use_certificate(ctx, x509) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1)
        bench_die("libssl: cannot use the certificate");
    X509_free(x509);
    EVP_PKEY_free(key);
    BIO_free(cert_in);
    BIO_free(key_in);
}

static void connect_pair(struct openssl *o)
{
    BIO *bio[2];

    if (BIO_new_bio_pair(&bio[0], 0, &bio[1], 0) != 1)
        bench_die("libssl: no pair");
    for (int i = 0; i < 2; i++) {
        o->ssl[i] = SSL_new(o->ctx[i]);
        if (!o->ssl[i])
            bench_die("out of memory");
        SSL_set_bio(o->ssl[i], bio[i], bio[i]);
    }
    SSL_set_accept_state(o->ssl[0]);
    SSL_set_connect_state(o->ssl[1]);
    for (int pass = 0; pass < 8 && !(SSL_is_init_finished(o->ssl[0]) && SSL_is_init_finished(o->ssl[1])); pass++) {
        (void)SSL_do_handshake(o->ssl[1]);
        (void)SSL_do_handshake(o->ssl[0]);
    }
    if (!SSL_is_init_finished(o->ssl[0]))
        bench_die("libssl: the handshake failed");
}

void *openssl_make(const struct subject *subject, const struct setup *setup)
{
    struct openssl *o = calloc(1, sizeof *o);

    (void)subject;
    if (!o)
        bench_die("out of memory");
    o->ctx[0] = context(TLS_server_method(), setup->suite);
    o->ctx[1] = context(TLS_client_method(), setup->suite);
    use_cert(o->ctx[0], setup->cert);
    connect_pair(o);
    o->sink = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sink");
    if (!o->sink || BIO_meth_set_write(o->sink, sink_write) != 1 || BIO_meth_set_ctrl(o->sink, sink_ctrl) != 1)
        bench_die("libssl: no sink");
    BIO *sink = BIO_new(o->sink);
    if (!sink)
        bench_die("out of memory");
    BIO_set_init(sink, 1);
    SSL_set0_wbio(o->ssl[0], sink);
    return o;
}

double openssl_slice(void *state, uint64_t ns)
{
    struct openssl *o = state;
    uint64_t began = bench_now_ns();
    uint64_t now = began;
    uint64_t bytes = 0;

    for (; now - began < ns; now = bench_now_ns()) {
        for (int i = 0; i < 4; i++) {
            if (SSL_write(o->ssl[0], o->message, (int)RECORD) != (int)RECORD)
                bench_die("libssl: writing failed");
        }
        bytes += 4 * RECORD;
    }
    return (double)bytes * 1e9 / (double)(now - began);
}

void openssl_end(void *state)
{
    struct openssl *o = state;

    for (int i = 0; i < 2; i++) {
        SSL_free(o->ssl[i]);
        SSL_CTX_free(o->ctx[i]);
    }
    BIO_meth_free(o->sink);
    free(o);
}
