/* SPDX-License-Identifier: Apache-2.0 */
/* wolfSSL as a peer: its own I/O over the wires, by its callbacks for that. */
#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include "peer.h"

struct world {
    WOLFSSL_CTX *ctx[2];
    bool old; /* TLS 1.2 */
};

struct end {
    WOLFSSL *ssl;
    struct wire *in, *out;
    size_t received;
    bool established;
};

static uint8_t message[MESSAGE_MAX];
static uint8_t arrived[MESSAGE_MAX];

static void must(int result, const char *what)
{
    if (result != WOLFSSL_SUCCESS)
        bench_die("wolfSSL: %s: %d", what, result);
}

static int push(WOLFSSL *ssl, char *data, int len, void *ctx)
{
    struct end *end = ctx;

    (void)ssl;
    wire_put(end->out, data, (size_t)len);
    return len;
}

static int pull(WOLFSSL *ssl, char *out, int max, void *ctx)
{
    struct end *end = ctx;
    size_t len = wire_get(end->in, out, (size_t)max);

    (void)ssl;
    return len > 0 ? (int)len : WOLFSSL_CBIO_ERR_WANT_READ;
}

static const char *suite_name(const struct setup *setup)
{
    if (setup->shake == SHAKE_12)
        return "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
    switch (setup->suite) {
    case 0x1301: return "TLS13-AES128-GCM-SHA256";
    case 0x1302: return "TLS13-AES256-GCM-SHA384";
    default: return "TLS13-CHACHA20-POLY1305-SHA256";
    }
}

static WOLFSSL_CTX *context(const struct setup *setup, WOLFSSL_METHOD *method)
{
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method);

    if (!ctx)
        bench_die("wolfSSL: cannot set up");
    must(wolfSSL_CTX_set_cipher_list(ctx, suite_name(setup)), "suite");
    (void)wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    wolfSSL_CTX_SetIORecv(ctx, pull);
    wolfSSL_CTX_SetIOSend(ctx, push);
    return ctx;
}

static struct world *world_new(const struct setup *setup)
{
    struct world *world = calloc(1, sizeof *world);
    const struct bench_cert *cert = setup->cert;

    if (!world)
        bench_die("out of memory");
    world->old = setup->shake == SHAKE_12;
    world->ctx[SERVER] = context(setup, world->old ? wolfTLSv1_2_server_method() : wolfTLSv1_3_server_method());
    world->ctx[CLIENT] = context(setup, world->old ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method());
    must(wolfSSL_CTX_use_certificate_buffer(world->ctx[SERVER], (const uint8_t *)cert->cert_pem, (long)cert->cert_len,
             WOLFSSL_FILETYPE_PEM),
        "certificate");
    must(wolfSSL_CTX_use_PrivateKey_buffer(world->ctx[SERVER], (const uint8_t *)cert->key_pem, (long)cert->key_len,
             WOLFSSL_FILETYPE_PEM),
        "key");
    must(wolfSSL_CTX_load_verify_buffer(world->ctx[CLIENT], (const uint8_t *)setup->anchor_pem,
             (long)setup->anchor_len, WOLFSSL_FILETYPE_PEM),
        "anchor");
    wolfSSL_CTX_set_verify(world->ctx[CLIENT], WOLFSSL_VERIFY_PEER, NULL);
    (void)wolfSSL_CTX_no_ticket_TLSv13(world->ctx[SERVER]);
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        message[i] = pattern(i);
    return world;
}

static void world_free(struct world *world)
{
    wolfSSL_CTX_free(world->ctx[SERVER]);
    wolfSSL_CTX_free(world->ctx[CLIENT]);
    free(world);
}

static struct end *end_new(struct world *world, enum side side, struct wire *in, struct wire *out)
{
    struct end *end = calloc(1, sizeof *end);
    WOLFSSL *ssl = wolfSSL_new(world->ctx[side]);

    if (!end || !ssl)
        bench_die("out of memory");
    *end = (struct end){ .ssl = ssl, .in = in, .out = out };
    wolfSSL_SetIOReadCtx(ssl, end);
    wolfSSL_SetIOWriteCtx(ssl, end);
    if (side == CLIENT) {
        must(wolfSSL_UseSupportedCurve(ssl, WOLFSSL_ECC_X25519), "X25519");
        if (!world->old)
            must(wolfSSL_UseKeyShare(ssl, WOLFSSL_ECC_X25519), "X25519");
        must(wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, "localhost", (unsigned short)strlen("localhost")), "name");
        must(wolfSSL_check_domain_name(ssl, "localhost"), "name");
    }
    return end;
}

static void handshake(struct end *end, enum side side)
{
    int result = side == SERVER ? wolfSSL_accept(end->ssl) : wolfSSL_connect(end->ssl);

    end->established = result == WOLFSSL_SUCCESS;
    if (result != WOLFSSL_SUCCESS && wolfSSL_get_error(end->ssl, result) != WOLFSSL_ERROR_WANT_READ)
        bench_die("wolfSSL: the handshake failed: %d", wolfSSL_get_error(end->ssl, result));
}

static void progress(struct end *end, size_t want)
{
    if (!end->established) {
        handshake(end, wolfSSL_is_server(end->ssl) ? SERVER : CLIENT);
        return;
    }
    while (want > 0) {
        int n = wolfSSL_read(end->ssl, arrived, sizeof arrived);
        if (n <= 0 || (size_t)n > want)
            bench_die("wolfSSL: reading failed");
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
        if (wolfSSL_write(end->ssl, message, (int)len) != (int)len)
            bench_die("wolfSSL: writing failed");
    }
}

static size_t received(const struct end *end)
{
    return end->received;
}

static void end_free(struct end *end)
{
    wolfSSL_free(end->ssl);
    free(end);
}

static bool shakes(enum shake shake)
{
    return shake == SHAKE_13 || shake == SHAKE_12;
}

static const struct subject subject_wolfssl = {
    .name = "wolfSSL",
    .world_new = world_new,
    .world_free = world_free,
    .end_new = end_new,
    .progress = progress,
    .established = established,
    .send = send_messages,
    .received = received,
    .end_free = end_free,
    .shakes = shakes,
    .host_len = sizeof(struct end),
};

const struct peer peers[] = { { "", &subject_wolfssl, false }, { NULL, NULL, false } };

const char *peer_version(void)
{
    static char text[64];

    snprintf(text, sizeof text, "wolfSSL %s", wolfSSL_lib_version());
    return text;
}

uint64_t (*const peer_own_mallocs)(void) = NULL;
