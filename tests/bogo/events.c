/* SPDX-License-Identifier: Apache-2.0 */
/* What the connection says, and what is answered. */
#include "shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE 512 /* a record is echoed in several pieces */

/* --- decisions -------------------------------------------------------------------------------------------------- */

static void decide(
    struct shim_exchange *x, const struct milgi_decision *decision, enum milgi_verdict verdict, void *with)
{
    int rv = milgi_decide(x->late->engine, *decision, verdict, with);
    if (rv && rv != MILGI_ESTALE)
        shim_complain(x, "a decision was answered wrongly: %s", milgi_error_text(rv));
}

/* The protocols that the client offers, as they came. */
static void check_offer(struct shim_exchange *x, const struct milgi_decision_info *info)
{
    uint8_t wire[1024];
    size_t len = 0;
    const char *expected = x->options->expect_advertised_alpn;
    for (size_t i = 0; expected && i < info->alpn_n && len + 1 + info->alpn[i].len <= sizeof wire; i++) {
        wire[len++] = (uint8_t)info->alpn[i].len;
        memcpy(wire + len, info->alpn[i].data, info->alpn[i].len);
        len += info->alpn[i].len;
    }
    if (expected && (len != strlen(expected) || memcmp(wire, expected, len) != 0))
        shim_complain(x, "other application protocols were offered than expected");
}

static void check_schemes(struct shim_exchange *x, const struct milgi_decision_info *info)
{
    const struct shim_numbers *expected = &x->options->expect_peer_verify_pref;
    size_t len = expected->n * sizeof *expected->v;
    bool same = info->schemes_n == expected->n && !memcmp(info->schemes, expected->v, len);
    if (expected->n && !same)
        shim_complain(x, "the peer takes other signature schemes than expected");
}

static void answer_alpn(
    struct shim_exchange *x, const struct milgi_decision *decision, const struct milgi_decision_info *info)
{
    const struct shim_options *o = x->options;
    check_offer(x, info);
    if (o->select_empty_alpn) { /* RFC 7301 3.1: "opaque ProtocolName<1..2^8-1>;" */
        if (milgi_decide(x->late->engine, *decision, MILGI_ACCEPT, (void *)(uintptr_t) "") != MILGI_EINVAL)
            shim_complain(x, "an empty protocol was taken");
        milgi_conn_abort(x->conn, MILGI_ALERT_INTERNAL_ERROR);
        return;
    }
    if (o->reject_alpn)
        decide(x, decision, MILGI_REFUSE, NULL);
    else if (o->select_alpn && !o->decline_alpn)
        decide(x, decision, MILGI_ACCEPT, (void *)(uintptr_t)o->select_alpn);
    else
        decide(x, decision, MILGI_DEFAULT, NULL);
}

/* The response that goes with the credential, whatever it says. */
static void answer_ocsp(
    struct shim_exchange *x, const struct milgi_decision *decision, const struct milgi_decision_info *info)
{
    const struct shim_options *o = x->options;
    struct milgi_iov response = { NULL, 0 };
    for (size_t i = 0; i <= o->credentials_n; i++) {
        if (info->credential == x->config->credential[i])
            response = (struct milgi_iov){ o->credential[i].ocsp_response.data, o->credential[i].ocsp_response.len };
    }
    if (response.len && !o->decline_ocsp_callback)
        decide(x, decision, MILGI_ACCEPT, &response);
    else
        decide(x, decision, MILGI_REFUSE, NULL);
}

/* Names in hexadecimal, with commas between them. */
static void check_authorities(struct shim_exchange *x, const struct milgi_decision_info *info)
{
    const char *hex = x->options->expect_client_ca_list;
    size_t n = 0;
    bool same = true;
    for (; hex && *hex && same; n++) {
        size_t len = strcspn(hex, ",");
        same = n < info->authorities_n && info->authorities[n].len == len / 2;
        for (size_t i = 0; same && i < len / 2; i++) {
            unsigned byte = 0;
            same = sscanf(hex + 2 * i, "%2x", &byte) == 1 && byte == ((const uint8_t *)info->authorities[n].data)[i];
        }
        hex += len + (hex[len] == ',');
    }
    if (hex && (!same || n != info->authorities_n))
        shim_complain(x, "other authorities are named than expected");
}

void shim_answer(struct shim_exchange *x, const struct milgi_decision *decision)
{
    const struct shim_options *o = x->options;
    struct milgi_decision_info info;
    if (milgi_decision_info(x->late->engine, *decision, &info))
        return; /* the connection has failed meanwhile */
    if (decision->kind == MILGI_DECIDE_ALPN) {
        answer_alpn(x, decision, &info);
        return;
    }
    if (shim_answer_tickets(x, decision, &info))
        return;
    bool peer = decision->kind == MILGI_DECIDE_PEER;
    if (o->fail_ocsp_callback && (peer || decision->kind == MILGI_DECIDE_OCSP)) {
        milgi_conn_abort(x->conn, peer ? MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE : MILGI_ALERT_INTERNAL_ERROR);
        return;
    }
    if (decision->kind == MILGI_DECIDE_OCSP) {
        answer_ocsp(x, decision, &info);
        return;
    }
    if (!peer) {
        check_schemes(x, &info);
        check_authorities(x, &info);
    }
    int alert = o->use_custom_verify_callback ? MILGI_ALERT_CERTIFICATE_UNKNOWN : MILGI_ALERT_HANDSHAKE_FAILURE;
    bool again = o->reverify_on_resume || !x->resumes || o->expect_session_miss;
    again = again && shim_failure_ends(o);
    if (peer && o->verify_fail && info.chain_n && again) /* with the alerts of BoringSSL's callbacks */
        milgi_conn_abort(x->conn, alert);
    else if (!peer && (o->fail_cert_callback || o->fail_ddos_callback))
        milgi_conn_abort(x->conn, MILGI_ALERT_INTERNAL_ERROR);
    else
        decide(x, decision, !peer && o->fail_early_callback ? MILGI_REFUSE : MILGI_DEFAULT, NULL);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct shim_exchange *x = arg;
    (void)conn;
    if (x->options->async)
        shim_late_keep(x->late, decision);
    else
        shim_answer(x, decision);
}

/* --- data ------------------------------------------------------------------------------------------------------- */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct shim_exchange *x = arg;
    struct shim_output *out = &x->out;
    (void)conn;
    if (out->n + n > out->cap) {
        size_t cap = 2 * (out->n + n);
        struct milgi_iov *grown = realloc(out->iov, cap * sizeof *grown);
        if (!grown) {
            shim_complain(x, "no memory");
            return;
        }
        out->iov = grown;
        out->cap = cap;
    }
    memcpy(out->iov + out->n, iov, n * sizeof *iov);
    out->n += n;
}

static void echo(struct shim_exchange *x, const uint8_t *data, size_t len)
{
    uint8_t back[16384];
    const struct shim_options *o = x->options;
    size_t most = o->read_size && o->read_size < sizeof back ? o->read_size : READ_SIZE;
    for (size_t at = 0; at < len && !x->failed; at += most) {
        size_t n = len - at < most ? len - at : most;
        for (size_t i = 0; i < n; i++)
            back[i] = data[at + i] ^ 0xff;
        if (o->key_update && milgi_conn_update_keys(x->conn, false) < 0)
            shim_complain(x, "keys cannot be updated");
        if (milgi_conn_write(x->conn, back, n) < 0)
            shim_complain(x, "what was read cannot be echoed");
        if (o->key_update_before_read && milgi_conn_update_keys(x->conn, false) < 0)
            shim_complain(x, "keys cannot be updated");
    }
}

static void check_exporter(struct shim_exchange *x)
{
    uint8_t byte;
    if (milgi_conn_export(x->conn, "label", NULL, 0, &byte, 1))
        shim_complain(x, "failed to export keying material");
}

static uint64_t checksum(const struct milgi_slice *slice)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < slice->len; i++)
        hash = (hash ^ slice->data[i]) * 1099511628211u;
    return hash;
}

/* Keeps what was only looked at. */
static void look(struct shim_exchange *x, const struct milgi_slice *slice)
{
    if (x->looked_n == x->looked_cap) {
        size_t cap = 2 * x->looked_cap + 16;
        struct shim_looked *grown = realloc(x->looked, cap * sizeof *grown);
        if (!grown) {
            shim_complain(x, "no memory");
            return;
        }
        x->looked = grown;
        x->looked_cap = cap;
    }
    struct shim_looked *looked = &x->looked[x->looked_n];
    if (milgi_slice_keep(slice, &looked->slice)) {
        shim_complain(x, "a slice cannot be kept");
        return;
    }
    looked->seen = checksum(slice);
    x->looked_n++;
}

static void read_slice(struct shim_exchange *x, const struct milgi_slice *slice)
{
    if (x->options->shim_shuts_down) {
        milgi_conn_consumed(x->conn, slice->len);
        return;
    }
    echo(x, slice->data, slice->len);
    x->owed += slice->len;
}

static void pay(struct shim_exchange *x)
{
    if (milgi_conn_output_full(x->conn))
        return;
    milgi_conn_consumed(x->conn, x->owed);
    x->owed = 0;
}

void shim_read_looked(struct shim_exchange *x)
{
    for (size_t i = 0; i < x->looked_n; i++) {
        struct shim_looked *looked = &x->looked[i];
        if (checksum(&looked->slice) != looked->seen)
            shim_complain(x, "what was looked at has changed");
        else if (!x->closed)
            read_slice(x, &looked->slice);
        milgi_chunk_unref(looked->slice.chunk);
    }
    x->looked_n = 0;
    if (!x->closed)
        pay(x);
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct shim_exchange *x = arg;
    (void)conn;
    x->out.allowed = UINT64_MAX;
    if (x->options->use_exporter_between_reads)
        check_exporter(x);
    for (size_t i = 0; i < n; i++) {
        if (x->options->peek_then_read)
            look(x, &slices[i]);
        else
            read_slice(x, &slices[i]);
    }
    pay(x);
}

static void on_room(struct milgi_conn *conn, void *arg)
{
    struct shim_exchange *x = arg;
    milgi_conn_consumed(conn, x->owed);
    x->owed = 0;
}

/* --- from the beginning to the end ------------------------------------------------------------------------------ */

static void shut(struct shim_exchange *x)
{
    if (x->shut)
        return;
    x->shut = true;
    if (x->options->check_close_notify)
        milgi_conn_shutdown(x->conn);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct shim_exchange *x = arg;
    const struct shim_options *o = x->options;
    struct milgi_conn_info info;
    milgi_conn_info(conn, &info);
    x->established = true;
    if (o->handshake_never_done)
        shim_complain(x, "the handshake was completed");
    shim_expect(x, &info);
    if (x->failed)
        return;
    shim_first_writes(x);
    if (o->send_alert)
        return;
    if (o->shim_shuts_down)
        shut(x);
    else if (o->key_update_before_read && milgi_conn_update_keys(conn, false) < 0)
        shim_complain(x, "keys cannot be updated");
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    struct shim_exchange *x = arg;
    (void)conn;
    if (alert != MILGI_ALERT_CLOSE_NOTIFY)
        return;
    x->close_notify_received = true;
    if (x->established)
        shut(x);
}

/* The last one is kept, as BoringSSL's shim does. */
static void on_session(struct milgi_conn *conn, void *arg, struct milgi_session *session)
{
    struct shim_exchange *x = arg;
    (void)conn;
    milgi_session_unref(x->session);
    x->session = milgi_session_ref(session);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct shim_exchange *x = arg;
    (void)conn;
    x->closed = true;
    x->reason = *reason;
}

void shim_keylog(void *exchange, struct milgi_conn *conn, const char *line)
{
    (void)conn;
    static const char *const labels[] = { "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 " };
    struct shim_exchange *x = exchange;
    for (int i = 0; i < 2; i++) {
        const char *hex = strncmp(line, labels[i], strlen(labels[i])) == 0 ? strrchr(line, ' ') : NULL;
        for (size_t n = 0; hex && n < SHIM_SECRET_MAX && sscanf(hex + 1 + 2 * n, "%2hhx", &x->secret[i][n]) == 1; n++)
            x->secret_len = n + 1;
    }
}

const struct milgi_events shim_events_without_sessions = {
    .on_output = on_output,
    .on_data = on_data,
    .on_room = on_room,
    .on_established = on_established,
    .on_decide = on_decide,
    .on_alert = on_alert,
    .on_closed = on_closed,
};

const struct milgi_events shim_events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_room = on_room,
    .on_established = on_established,
    .on_decide = on_decide,
    .on_alert = on_alert,
    .on_session = on_session,
    .on_closed = on_closed,
};
