/* SPDX-License-Identifier: Apache-2.0 */
/* GnuTLS as a peer: its own I/O over the wires, by its functions for that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "peer.h"

struct world {
    gnutls_certificate_credentials_t credentials[2];
    gnutls_priority_t priority;
    uint32_t record_len;
};

struct end {
    gnutls_session_t session;
    struct wire *in, *out;
    size_t received;
    bool established;
};

static uint8_t message[MESSAGE_MAX];
static uint8_t arrived[MESSAGE_MAX];

static void must(int result, const char *what)
{
    if (result < 0)
        bench_die("GnuTLS: %s: %s", what, gnutls_strerror(result));
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
    struct end *end = ptr;

    wire_put(end->out, data, len);
    return (ssize_t)len;
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *out, size_t max)
{
    struct end *end = ptr;
    size_t len = wire_get(end->in, out, max);

    if (len > 0)
        return (ssize_t)len;
    gnutls_transport_set_errno(end->session, EAGAIN);
    return -1;
}

static const char *priority(const struct setup *setup)
{
    if (setup->shake == SHAKE_12)
        return "NONE:+VERS-TLS1.2:+AES-128-GCM:+AEAD:+ECDHE-ECDSA:+ECDHE-RSA:+SHA256:+GROUP-X25519:"
               "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256:+SIGN-RSA-SHA256:+CTYPE-X509";
    switch (setup->suite) {
    case 0x1301:
        return "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+SHA256:+GROUP-X25519:+SIGN-ECDSA-SECP256R1-SHA256:"
               "+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256:+CTYPE-X509:%DISABLE_TLS13_COMPAT_MODE";
    case 0x1302:
        return "NONE:+VERS-TLS1.3:+AES-256-GCM:+AEAD:+SHA384:+GROUP-X25519:+SIGN-ECDSA-SECP256R1-SHA256:"
               "+CTYPE-X509:%DISABLE_TLS13_COMPAT_MODE";
    default:
        return "NONE:+VERS-TLS1.3:+CHACHA20-POLY1305:+AEAD:+SHA256:+GROUP-X25519:+SIGN-ECDSA-SECP256R1-SHA256:"
               "+CTYPE-X509:%DISABLE_TLS13_COMPAT_MODE";
    }
}

static gnutls_datum_t datum(const char *text, size_t len)
{
    return (gnutls_datum_t){ (unsigned char *)(uintptr_t)text, (unsigned)len };
}

static struct world *world_new(const struct setup *setup)
{
    struct world *world = calloc(1, sizeof *world);
    gnutls_datum_t cert = datum(setup->cert->cert_pem, setup->cert->cert_len);
    gnutls_datum_t key = datum(setup->cert->key_pem, setup->cert->key_len);
    gnutls_datum_t anchor = datum(setup->anchor_pem, setup->anchor_len);
    const char *at;

    if (!world)
        bench_die("out of memory");
    must(gnutls_certificate_allocate_credentials(&world->credentials[SERVER]), "credentials");
    must(gnutls_certificate_allocate_credentials(&world->credentials[CLIENT]), "credentials");
    must(gnutls_certificate_set_x509_key_mem(world->credentials[SERVER], &cert, &key, GNUTLS_X509_FMT_PEM),
        "certificate");
    must(gnutls_certificate_set_x509_trust_mem(world->credentials[CLIENT], &anchor, GNUTLS_X509_FMT_PEM), "anchor");
    must(gnutls_priority_init(&world->priority, priority(setup), &at), "priorities");
    world->record_len = setup->record_len;
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        message[i] = pattern(i);
    return world;
}

static void world_free(struct world *world)
{
    gnutls_certificate_free_credentials(world->credentials[SERVER]);
    gnutls_certificate_free_credentials(world->credentials[CLIENT]);
    gnutls_priority_deinit(world->priority);
    free(world);
}

static struct end *end_new(struct world *world, enum side side, struct wire *in, struct wire *out)
{
    struct end *end = calloc(1, sizeof *end);
    unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_TICKETS | GNUTLS_NO_SIGNAL;

    if (!end)
        bench_die("out of memory");
    *end = (struct end){ .in = in, .out = out };
    must(gnutls_init(&end->session, flags | (side == SERVER ? GNUTLS_SERVER : GNUTLS_CLIENT)), "session");
    must(gnutls_priority_set(end->session, world->priority), "priorities");
    must(gnutls_credentials_set(end->session, GNUTLS_CRD_CERTIFICATE, world->credentials[side]), "credentials");
    if (side == CLIENT) {
        must(gnutls_server_name_set(end->session, GNUTLS_NAME_DNS, "localhost", strlen("localhost")), "name");
        gnutls_session_set_verify_cert(end->session, "localhost", 0);
    }
    gnutls_transport_set_ptr(end->session, end);
    gnutls_transport_set_push_function(end->session, push);
    gnutls_transport_set_pull_function(end->session, pull);
    return end;
}

static void handshake(struct end *end)
{
    int result = gnutls_handshake(end->session);

    end->established = result == 0;
    if (result != 0 && result != GNUTLS_E_AGAIN)
        bench_die("GnuTLS: the handshake failed: %s", gnutls_strerror(result));
}

static void progress(struct end *end, size_t want)
{
    if (!end->established) {
        handshake(end);
        return;
    }
    while (want > 0) {
        ssize_t n = gnutls_record_recv(end->session, arrived, sizeof arrived);
        if (n <= 0 || (size_t)n > want)
            bench_die("GnuTLS: reading failed");
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
        if (gnutls_record_send(end->session, message, len) != (ssize_t)len)
            bench_die("GnuTLS: writing failed");
    }
}

static size_t received(const struct end *end)
{
    return end->received;
}

static void end_free(struct end *end)
{
    gnutls_deinit(end->session);
    free(end);
}

static bool shakes(enum shake shake)
{
    return shake == SHAKE_13 || shake == SHAKE_12;
}

static const struct subject subject_gnutls = {
    .name = "GnuTLS",
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

const struct peer peers[] = { { "", &subject_gnutls, false }, { NULL, NULL, false } };

const char *peer_version(void)
{
    static char text[64];

    snprintf(text, sizeof text, "GnuTLS %s", gnutls_check_version(NULL));
    return text;
}

uint64_t (*const peer_own_mallocs)(void) = NULL;
