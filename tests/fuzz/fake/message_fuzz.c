/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every decoder of handshake messages: the first byte picks the message, the rest is its body. A body that is taken
 * must be read to its end without overrun, and what is encoded from nothing but its fields where that is possible must
 * decode again.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/x509.h"
#include "handshake/msg/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct milgi__crypto *cx;

static bool client_hello(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__client_hello hello;
    struct milgi__bytes versions;
    uint8_t digest[MILGI__HASH_MAX];
    if (!milgi__client_hello_decode(r, &hello, f) || !milgi__client_hello_versions(&hello, &versions, f))
        return false;
    if (!milgi__client_hello_decode13(&hello, f))
        return false;
    return milgi__client_hello_digest(cx, &hello, digest) == 0;
}

static bool server_hello(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__server_hello hello;
    if (!milgi__server_hello_decode(r, &hello, f))
        return false;
    (void)milgi__server_hello_version(&hello);
    (void)milgi__server_hello_downgraded(&hello);
    return milgi__server_hello_decode13(&hello, UINT32_MAX, f);
}

static bool encrypted_extensions(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__exts ext = { 0 };
    return milgi__encrypted_extensions_decode(r, UINT32_MAX, &ext, f);
}

static bool certificate_request(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__certificate_request request = { 0 };
    return milgi__certificate_request_decode(r, &request, f);
}

static bool certificate(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__certificates certs = { 0 };
    if (!milgi__certificate_decode(r, UINT32_MAX, &certs, f))
        return false;
    struct milgi__reader list = milgi__reader_of(certs.list);
    struct milgi__bytes der;
    unsigned n = 0;
    size_t len = 0;
    while (milgi__certificate_next(&certs, &list, &der)) {
        struct milgi__cert_info info;
        (void)milgi__cert_info(cx, der.p, der.len, &info);
        n++;
        len += der.len;
    }
    if (n != certs.n || len != certs.der_len)
        abort();
    return true;
}

static bool certificate_verify(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__certificate_verify verify;
    return milgi__certificate_verify_decode(r, &verify, f);
}

static bool key_update(struct milgi__reader *r, struct milgi__failure *f)
{
    bool request;
    return milgi__key_update_decode(r, &request, f);
}

static bool new_session_ticket(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__new_session_ticket ticket;
    return milgi__new_session_ticket_decode(r, &ticket, f);
}

static bool certificate12(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__certificates certs = { 0 };
    if (!milgi__certificate12_decode(r, &certs, f))
        return false;
    struct milgi__reader list = milgi__reader_of(certs.list);
    struct milgi__bytes der;
    unsigned n = 0;
    for (; milgi__certificate_next(&certs, &list, &der); n++) {
    }
    if (n != certs.n)
        abort();
    return true;
}

static bool certificate_status(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__bytes status;
    return milgi__certificate_status_decode(r, &status, f);
}

static bool certificate_request12(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__certificate_request12 request = { 0 };
    return milgi__certificate_request12_decode(r, &request, f);
}

/* What is signed is what was said of curve and point, byte by byte. */
static bool server_exchange(struct milgi__reader *r, struct milgi__failure *f)
{
    const uint8_t *body = r->p;
    uint8_t params[MILGI__ECDH_PARAMS_MAX];
    struct milgi__server_exchange exchange;
    if (!milgi__server_exchange_decode(r, &exchange, f))
        return false;
    size_t len = milgi__ecdh_params(params, exchange.group, exchange.share);
    if (exchange.params.p != body || exchange.params.len != len || memcmp(body, params, len) != 0)
        abort();
    return true;
}

static bool client_exchange(struct milgi__reader *r, struct milgi__failure *f)
{
    struct milgi__bytes share;
    return milgi__client_exchange_decode(r, &share, f);
}

static bool new_session_ticket12(struct milgi__reader *r, struct milgi__failure *f)
{
    uint32_t lifetime;
    struct milgi__bytes ticket;
    return milgi__new_session_ticket12_decode(r, &lifetime, &ticket, f);
}

#define OLD 200 /* from here on the first byte picks one of TLS 1.2 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* ClientHello, which has the most in it, a second time where Finished, which has nothing, would be: the inputs in
     * the corpus go by these places. */
    static bool (*const decode[])(struct milgi__reader *, struct milgi__failure *) = { client_hello, server_hello,
        encrypted_extensions, certificate_request, certificate, certificate_verify, client_hello, key_update,
        new_session_ticket };
    static bool (*const decode12[])(struct milgi__reader *, struct milgi__failure *) = { certificate12,
        certificate_status, certificate_request12, server_exchange, client_exchange, new_session_ticket12 };
    if (size < 1)
        return 0;
    if (!cx)
        cx = milgi__crypto_new();
    /* A copy of its own, so that the sanitizer sees the first byte beyond it. */
    size_t len = size - 1;
    uint8_t *body = malloc(len ? len : 1);
    if (!body)
        return 0;
    memcpy(body, data + 1, len);
    struct milgi__reader r = milgi__reader(body, len);
    struct milgi__failure failure = { 0 };
    bool ok = data[0] < OLD ? decode[data[0] % MILGI__COUNT(decode)](&r, &failure)
                            : decode12[(data[0] - OLD) % MILGI__COUNT(decode12)](&r, &failure);
    if (r.p > r.end || (!ok && (!failure.detail || failure.alert == 0)))
        abort();
    free(body);
    return 0;
}
