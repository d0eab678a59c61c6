/* SPDX-License-Identifier: Apache-2.0 */
/* What the flags expect of a handshake that is complete, and what is written first. */
#include "shim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CERTIFICATES_MAX (1 << 20) /* bytes of a file */

void shim_complain(struct shim_exchange *x, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    x->failed = true;
}

/* --- certificates ----------------------------------------------------------------------------------------------- */

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

size_t shim_base64(const char *text, size_t len, uint8_t *out)
{
    size_t n = 0;
    unsigned bits = 0;
    uint32_t held = 0;
    for (size_t i = 0; i < len && text[i] != '='; i++) {
        if (text[i] == '\n' || text[i] == '\r')
            continue;
        int value = sextet(text[i]);
        if (value < 0)
            return SIZE_MAX;
        held = held << 6 | (uint32_t)value;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        out[n++] = (uint8_t)(held >> bits);
    }
    return n;
}

static char *read_file(const char *name)
{
    FILE *file = fopen(name, "r");
    char *text = file ? calloc(1, CERTIFICATES_MAX) : NULL;
    if (text && fread(text, 1, CERTIFICATES_MAX - 1, file) == 0) {
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

/* Whether |chain| is what a file of PEM blocks holds, all of it. */
static bool is_chain_of(const char *text, const struct milgi_iov *chain, size_t n)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END";
    size_t i = 0;
    for (const char *at = strstr(text, begin); at; at = strstr(at, begin), i++) {
        at += strlen(begin);
        const char *to = strstr(at, end);
        uint8_t *der = to ? malloc((size_t)(to - at)) : NULL;
        size_t len = der ? shim_base64(at, (size_t)(to - at), der) : SIZE_MAX;
        bool same = i < n && len == chain[i].len && !memcmp(der, chain[i].data, len);
        free(der);
        if (!same)
            return false;
    }
    return i == n;
}

static void expect_bytes(
    struct shim_exchange *x, const char *what, const struct shim_bytes *wanted, const struct milgi_iov *got)
{
    if (wanted->len && (got->len != wanted->len || memcmp(got->data, wanted->data, wanted->len) != 0))
        shim_complain(x, "not the expected %s", what);
}

static void expect_peer(struct shim_exchange *x, const struct milgi_conn_info *info)
{
    const struct shim_options *o = x->options;
    if (o->expect_peer_cert_file) {
        char *text = read_file(o->expect_peer_cert_file);
        if (!text || !is_chain_of(text, info->peer_chain, info->peer_chain_n))
            shim_complain(x, "the peer's certificates are not the expected ones");
        free(text);
    }
    if (!info->resumed) { /* a session does not keep them */
        expect_bytes(x, "OCSP response", &o->expect_ocsp_response, &info->ocsp_response);
        expect_bytes(x, "timestamps", &o->expect_scts, &info->scts);
    }
    bool may = !o->expect_no_peer_cert && !info->psk_identity.len;
    bool wanted = may && (!o->server || o->require_any_client_certificate);
    if (o->expect_no_peer_cert && info->peer_chain_n)
        shim_complain(x, "the peer has sent a certificate");
    if (wanted && !info->peer_chain_n)
        shim_complain(x, "the peer has sent no certificate");
    if (o->expect_verify_result && info->peer_authenticated == o->verify_fail && info->peer_chain_n)
        shim_complain(x, "the peer is authenticated: %d", info->peer_authenticated);
}

/* --- what was negotiated ---------------------------------------------------------------------------------------- */

static void expect_number(struct shim_exchange *x, const char *what, uint64_t wanted, uint16_t got)
{
    if (wanted && wanted != got)
        shim_complain(x, "%s %04x, not %04x", what, got, (unsigned)wanted);
}

static void expect_text(struct shim_exchange *x, const char *what, const char *wanted, const char *got)
{
    if (wanted && (!got || strcmp(wanted, got) != 0))
        shim_complain(x, "%s %s, not %s", what, got ? got : "(none)", wanted);
}

static int selected(const struct shim_exchange *x, const struct milgi_conn_info *info)
{
    if (info->psk_identity.len)
        return shim_psk_of(x->config, x->options, info->psk_identity) - 1;
    for (size_t i = 1; i <= x->options->credentials_n; i++) {
        if (info->credential && info->credential == x->config->credential[i])
            return (int)i - 1;
    }
    return -1;
}

static void expect_names(struct shim_exchange *x, const struct milgi_conn_info *info)
{
    const struct shim_options *o = x->options;
    const char *alpn = o->server ? o->select_alpn : o->expect_alpn;
    expect_text(x, "server name", o->expect_server_name, info->server_name);
    if (o->expect_no_server_name && info->server_name)
        shim_complain(x, "server name %s", info->server_name);
    expect_text(x, "application protocol", alpn ? alpn : "", info->alpn ? info->alpn : "");
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

void shim_expect_sessions(struct shim_exchange *x, const struct milgi_conn_info *info)
{
    const struct shim_options *o = x->options;
    bool tls13 = info->version == MILGI_TLS_1_3;
    if (o->server || (tls13 && o->shim_shuts_down)) /* then nobody waits for one */
        return;
    bool wanted = !o->expect_no_session && (tls13 || !info->resumed || o->expect_ticket_renewal);
    wanted = wanted && (tls13 || x->master_secret); /* RFC 7627 5.4 */
    if (wanted != (x->session != NULL))
        shim_complain(x, "a session has come: %d", x->session != NULL);
}

static void expect_resumed(struct shim_exchange *x, const struct milgi_conn_info *info)
{
    bool wanted = x->resumes && !x->options->expect_session_miss;
    uint8_t byte;
    bool first = !x->resumes, kept = info->session_id.len != 0;
    if (first && ((x->options->expect_session_id && !kept) || (x->options->expect_no_session_id && kept)))
        shim_complain(x, "a session is kept by its ID: %d", kept);
    if (wanted != info->resumed)
        shim_complain(x, "a session is resumed: %d", info->resumed);
    /* TLS 1.2 without it has no exporter. */
    x->master_secret = milgi_conn_export(x->conn, "label", NULL, 0, &byte, 1) == 0;
    if (x->options->expect_extended_master_secret && !x->master_secret)
        shim_complain(x, "no extended master secret");
}

void shim_expect(struct shim_exchange *x, const struct milgi_conn_info *info)
{
    const struct shim_options *o = x->options;
    expect_number(x, "version", o->expect_version, info->version);
    expect_number(x, "suite", o->expect_cipher, info->suite);
    if (info->version == MILGI_TLS_1_3 || !info->resumed) /* in TLS 1.2 a session is not exchanged for keys */
        expect_number(x, "group", o->expect_curve_id, info->group);
    if (!o->server && !info->resumed) /* then there was none */
        expect_number(x, "signature scheme", o->expect_peer_signature_algorithm, info->signature_scheme);
    if ((o->expect_hrr && !info->hello_retry) || (o->expect_no_hrr && info->hello_retry))
        shim_complain(x, "HelloRetryRequest: %d", info->hello_retry);
    if (o->expect_selected_credential && selected(x, info) != atoi(o->expect_selected_credential))
        shim_complain(x, "credential %d, not %s", selected(x, info), o->expect_selected_credential);
    if (o->expect_no_secure_renegotiation && info->version == MILGI_TLS_1_3)
        shim_complain(x, "TLS 1.3 has nothing that could be renegotiated insecurely");
    expect_resumed(x, info);
    expect_names(x, info);
    expect_peer(x, info);
}

/* --- what is written first -------------------------------------------------------------------------------------- */

static void put(struct shim_exchange *x, const void *data, size_t len)
{
    int rv = milgi_conn_write(x->conn, data, len);
    if (rv < 0)
        shim_complain(x, "nothing can be written: %s", milgi_error_text(rv));
}

static void put_keying_material(struct shim_exchange *x)
{
    const struct shim_options *o = x->options;
    uint8_t *out = malloc(o->export_keying_material);
    const char *context = !o->use_export_context ? NULL : o->export_context ? o->export_context
                                                                            : "";
    int rv = !out ? MILGI_ENOMEM
                  : milgi_conn_export(x->conn, o->export_label ? o->export_label : "", context,
                        context ? strlen(context) : 0, out, o->export_keying_material);
    if (rv)
        shim_complain(x, "keying material cannot be exported: %s", milgi_error_text(rv));
    else
        put(x, out, o->export_keying_material);
    free(out);
}

static void put_unique(struct shim_exchange *x)
{
    uint8_t unique[MILGI_CHANNEL_BINDING_MAX];
    size_t len = sizeof unique;
    int rv = milgi_conn_channel_binding(x->conn, MILGI_BINDING_UNIQUE, unique, &len);
    if (rv)
        shim_complain(x, "failed to get tls-unique: %s", milgi_error_text(rv));
    else
        put(x, unique, len);
}

/* Their length, the one for reading, the one for writing. */
static void put_secrets(struct shim_exchange *x)
{
    const uint8_t len[2] = { (uint8_t)x->secret_len, (uint8_t)(x->secret_len >> 8) };
    put(x, len, sizeof len);
    put(x, x->secret[x->options->server ? 0 : 1], x->secret_len);
    put(x, x->secret[x->options->server ? 1 : 0], x->secret_len);
}

static void put_sizes(struct shim_exchange *x)
{
    static const size_t sizes[] = { 0, 1, 255, 256, 257, 16383, 16384, 16385, 32767, 32768, 32769 };
    static uint8_t data[32769];
    memset(data, 0x42, sizeof data);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        put(x, data, sizes[i]);
}

static void put_hello(struct shim_exchange *x)
{
    static const char hello[] = "hello";
    put(x, hello, strlen(hello));
}

void shim_unfinished_write(struct shim_exchange *x)
{
    x->unfinished = false;
    x->out.allowed = 1;
    put_hello(x);
}

void shim_first_writes(struct shim_exchange *x)
{
    const struct shim_options *o = x->options;
    if (o->export_keying_material)
        put_keying_material(x);
    if (o->export_traffic_secrets)
        put_secrets(x);
    if (o->tls_unique)
        put_unique(x);
    if (o->send_alert) {
        milgi_conn_abort(x->conn, 30); /* decompression_failure: what the runner waits for */
        return;
    }
    if (o->write_different_record_sizes)
        put_sizes(x);
    x->unfinished = o->read_with_unfinished_write;
    if (o->shim_writes_first && !x->unfinished)
        put_hello(x);
}
