/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libssl as a subject, in both of the ways that programs use it, and spared what the comparison does not need. Either
 * it does its own I/O: a BIO of ours over the wires, as BIO_s_socket over a socket. Or its host does, as event loops
 * must: memory BIOs, which the host fills with what it has received and whose contents it sends.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "ends.h"
#include "libssl.h"

struct world {
    SSL_CTX *ctx[2];
    BIO_METHOD *method;
    uint16_t suite; /* 0: one of TLS 1.2 */
    bool memory_bios, verifies, resumes;
    bool again, served;   /* |resumes|: there was a client, a server before */
    SSL_SESSION *session; /* the newest */
};

struct end {
    SSL *ssl;
    BIO *received_bio, *send_bio; /* memory BIOs; NULL: it does its own I/O */
    struct wire *in, *out;
    size_t received;
    uint16_t suite;
    bool established, resumes, again; /* |again|: it was given a session */
    bool says;                        /* a byte, with which some libraries send their tickets and not before */
};

#define SUITES_12 "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"

static uint8_t network[65536]; /* what the host receives into */
static uint8_t message[MESSAGE_MAX];
static uint8_t arrived[MESSAGE_MAX];

static int bio_write(BIO *bio, const char *data, int len)
{
    struct end *end = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    wire_put(end->out, data, (size_t)len);
    return len;
}

static int bio_read(BIO *bio, char *out, int max)
{
    struct end *end = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    size_t len = wire_get(end->in, out, (size_t)max);
    if (len > 0)
        return (int)len;
    BIO_set_retry_read(bio);
    return -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

/* --- the host of memory BIOs ------------------------------------------------------------------------------------ */

static void host_receives(struct end *end)
{
    size_t len;

    while (end->received_bio && (len = wire_get(end->in, network, sizeof network)) > 0) {
        if (BIO_write(end->received_bio, network, (int)len) != (int)len)
            bench_die("libssl: a memory BIO is full");
    }
}

/* Sends from where the BIO has it, which spares a copy. */
static void host_sends(struct end *end)
{
    char *data;

    if (!end->send_bio)
        return;
    long len = BIO_get_mem_data(end->send_bio, &data);
    if (len > 0) {
        wire_put(end->out, data, (size_t)len);
        (void)BIO_reset(end->send_bio);
    }
}

/* --- what is set up once ---------------------------------------------------------------------------------------- */

static int accept_any(X509_STORE_CTX *store, void *unused)
{
    (void)store;
    (void)unused;
    return 1;
}

static const char *group_name(enum shake shake)
{
    switch (shake) {
    case SHAKE_13_HYBRID: return "X25519MLKEM768";
    case SHAKE_12: return "X25519:P-256"; /* the certificate's curve is to be among them, too */
    default: return "X25519";
    }
}

static bool shakes(enum shake shake)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    bool known = ctx && SSL_CTX_set1_groups_list(ctx, group_name(shake)) == 1;

    SSL_CTX_free(ctx);
    return known;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct world *world = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    SSL_SESSION_free(world->session);
    world->session = session;
    return 1;
}

/* A ticket for each connection, of which the next one makes use. */
static void resume(struct world *world)
{
    if (SSL_CTX_set_num_tickets(world->ctx[SERVER], 1) != 1)
        bench_die("libssl: cannot set up tickets");
    SSL_CTX_clear_options(world->ctx[SERVER], SSL_OP_NO_TICKET);
    SSL_CTX_clear_options(world->ctx[CLIENT], SSL_OP_NO_TICKET);
    SSL_CTX_set_app_data(world->ctx[CLIENT], world);
    SSL_CTX_set_session_cache_mode(world->ctx[CLIENT], SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(world->ctx[CLIENT], keep_session);
    world->resumes = true;
}

static SSL_CTX *context(const struct setup *setup, const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    bool old = setup->shake == SHAKE_12;

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, old ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(ctx, old ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
        !libssl_set_suite(ctx, setup->suite) || (old && SSL_CTX_set_cipher_list(ctx, SUITES_12) != 1) ||
        SSL_CTX_set1_groups_list(ctx, group_name(setup->shake)) != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1)
        bench_die("libssl: cannot set up");
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (setup->lean)
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
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

static void trust(struct world *world, const struct setup *setup)
{
    SSL_CTX *ctx = world->ctx[CLIENT];

    if (!setup->anchor_pem) {
        /* Without this, libssl builds and verifies the chain even when nobody wants the verdict. */
        SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
        return;
    }
    BIO *in = BIO_new_mem_buf(setup->anchor_pem, (int)setup->anchor_len);
    X509 *anchor = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    if (!anchor || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), anchor) != 1)
        bench_die("libssl: cannot use the anchor");
    X509_free(anchor);
    BIO_free(in);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    world->verifies = true;
}

static struct world *world_new(const struct setup *setup)
{
    struct world *world = calloc(1, sizeof *world);

    if (!world)
        bench_die("out of memory");
    world->suite = setup->shake == SHAKE_12 ? 0 : setup->suite;
    world->memory_bios = setup->memory_bios;
    world->ctx[SERVER] = context(setup, TLS_server_method());
    world->ctx[CLIENT] = context(setup, TLS_client_method());
    use_cert(world->ctx[SERVER], setup->cert);
    trust(world, setup);
    if (setup->shake == SHAKE_13_RESUMED)
        resume(world);
    world->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    if (!world->method || BIO_meth_set_write(world->method, bio_write) != 1 ||
        BIO_meth_set_read(world->method, bio_read) != 1 || BIO_meth_set_ctrl(world->method, bio_ctrl) != 1)
        bench_die("libssl: cannot make a BIO");
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        message[i] = pattern(i);
    return world;
}

static void world_free(struct world *world)
{
    SSL_SESSION_free(world->session);
    SSL_CTX_free(world->ctx[SERVER]);
    SSL_CTX_free(world->ctx[CLIENT]);
    BIO_meth_free(world->method);
    free(world);
}

/* --- an end ----------------------------------------------------------------------------------------------------- */

static void attach_memory(struct end *end)
{
    end->received_bio = BIO_new(BIO_s_mem());
    end->send_bio = BIO_new(BIO_s_mem());
    if (!end->received_bio || !end->send_bio)
        bench_die("out of memory");
    BIO_set_mem_eof_return(end->received_bio, -1);
    SSL_set_bio(end->ssl, end->received_bio, end->send_bio);
}

static void attach_wires(struct end *end, const BIO_METHOD *method)
{
    BIO *bio = BIO_new(method);

    if (!bio)
        bench_die("out of memory");
    BIO_set_data(bio, end);
    BIO_set_init(bio, 1);
    SSL_set_bio(end->ssl, bio, bio);
}

static struct end *end_new(struct world *world, enum side side, struct wire *in, struct wire *out)
{
    struct end *end = calloc(1, sizeof *end);
    SSL *ssl = SSL_new(world->ctx[side]);

    if (!end || !ssl)
        bench_die("out of memory");
    *end = (struct end){ .ssl = ssl, .in = in, .out = out, .suite = world->suite, .resumes = world->resumes };
    if (world->memory_bios)
        attach_memory(end);
    else
        attach_wires(end, world->method);
    if (side == SERVER) {
        SSL_set_accept_state(ssl);
        end->says = world->resumes && !world->served; /* a session may be used again */
        world->served = true;
    } else {
        SSL_set_connect_state(ssl);
        SSL_set_tlsext_host_name(ssl, "localhost");
        end->again = world->again;
        if (end->again && (!world->session || SSL_set_session(ssl, world->session) != 1))
            bench_die("libssl: there is no session");
        world->again = world->resumes;
        if (world->verifies && SSL_set1_host(ssl, "localhost") != 1)
            bench_die("libssl: cannot set the name");
    }
    return end;
}

static void handshake(struct end *end)
{
    int result = SSL_do_handshake(end->ssl);

    end->established = result == 1;
    if (result != 1 && SSL_get_error(end->ssl, result) != SSL_ERROR_WANT_READ)
        bench_die("libssl: the handshake failed");
    if (result == 1 && end->suite != 0 && (uint16_t)SSL_CIPHER_get_id(SSL_get_current_cipher(end->ssl)) != end->suite)
        bench_die("libssl: another suite was chosen");
    if (result == 1 && end->again && !SSL_session_reused(end->ssl))
        bench_die("libssl: it was not resumed");
    if (result == 1 && end->says && SSL_write(end->ssl, message, 1) != 1)
        bench_die("libssl: writing failed");
    host_sends(end);
}

static void progress(struct end *end, size_t want)
{
    host_receives(end);
    if (!end->established) {
        handshake(end);
        return;
    }
    if (want == 0 && end->resumes)
        (void)SSL_read(end->ssl, arrived, sizeof arrived); /* a ticket: there is nothing else */
    while (want > 0) {
        int n = SSL_read(end->ssl, arrived, sizeof arrived);
        if (n <= 0 || (size_t)n > want)
            bench_die("libssl: reading failed");
        if (end->received < CHECKED)
            check_arrived(end->received, arrived, (size_t)n);
        want -= (size_t)n;
        end->received += (size_t)n;
    }
}

static bool established(const struct end *end)
{
    return end->established;
}

static void send_messages(struct end *end, enum way way, size_t len, unsigned n)
{
    (void)way;
    for (unsigned i = 0; i < n; i++) {
        if (SSL_write(end->ssl, message, (int)len) != (int)len)
            bench_die("libssl: writing failed");
    }
    host_sends(end);
}

static size_t received(const struct end *end)
{
    return end->received;
}

static void end_free(struct end *end)
{
    if (end->resumes) /* a session whose connection was cut is not used again */
        SSL_set_shutdown(end->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(end->ssl);
    free(end);
}

const struct subject subject_openssl = {
    .name = "OpenSSL",
    .world_new = world_new,
    .world_free = world_free,
    .end_new = end_new,
    .progress = progress,
    .established = established,
    .send = send_messages,
    .received = received,
    .end_free = end_free,
    .host_len = sizeof(struct end),
    .can = libssl_has_suite,
    .shakes = shakes,
};
