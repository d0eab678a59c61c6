/* SPDX-License-Identifier: Apache-2.0 */
/* What one opened record means, in order. */
#include "conn/dispatch.h"

#include <assert.h>

#include "conn/fail.h"
#include "conn/keys.h"
#include "conn/session.h"
#include "conn/trace.h"

static void drop(struct milgi__message *m)
{
    for (unsigned i = 0; i < m->slices_n; i++)
        milgi_chunk_unref(m->slice[i].chunk);
    m->slices_n = 0;
}

/* What brings the application nothing is counted: too much of it is an attack. */
static bool is_flood(struct milgi_conn *c, enum milgi__flood which, uint64_t burst)
{
    if (milgi__floods_spend(&c->floods, which, burst, milgi__engine_now(c->engine)))
        return false;
    milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_UNEXPECTED_MESSAGE, "too many records without application data");
    return true;
}

static bool control_flood(struct milgi_conn *c)
{
    return is_flood(c, MILGI__FLOOD_IDLE, milgi__conn_limit(c, MILGI_LIMIT_IDLE_CONTROL));
}

/* Few have a use: an eighth, at least one if any is allowed. */
static bool warning_flood(struct milgi_conn *c)
{
    return is_flood(c, MILGI__FLOOD_WARNING, (milgi__conn_limit(c, MILGI_LIMIT_IDLE_CONTROL) + 7) / 8);
}

static bool mid_message(const struct milgi_conn *c)
{
    const struct milgi__hs *hs = milgi__conn_hs(c);
    return hs ? milgi__hs_mid_message(hs) : milgi__post_mid_message(&c->post);
}

/* The first bytes of a message whose slices may be several. */
static size_t peek(const struct milgi__message *m, uint8_t *out, size_t cap)
{
    size_t n = 0;
    for (unsigned i = 0; i < m->slices_n && n < cap; i++) {
        size_t k = MILGI__MIN(cap - n, m->slice[i].len);
        memcpy(out + n, m->slice[i].data, k);
        n += k;
    }
    return n;
}

/*= RFC8446 5: "An implementation may receive an unencrypted record of type change_cipher_spec consisting of the single
 *= byte value 0x01 at any time after the first ClientHello message has been sent or received and before the peer's
 *= Finished message has been received and MUST simply drop it without further processing." */
static void take_ccs(struct milgi_conn *c, const struct milgi__message *m)
{
    uint8_t byte = 0;
    bool ok = !m->protected && m->len == 1 && peek(m, &byte, 1) == 1 && byte == 1 && !mid_message(c);
    struct milgi__hs *hs = milgi__conn_hs(c);
    enum milgi__hs_ccs ccs = ok && hs ? milgi__hs_take_ccs(hs) : MILGI__CCS_REFUSED;
    if (ccs == MILGI__CCS_REFUSED)
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "change_cipher_spec is not allowed here");
    else if (ccs == MILGI__CCS_DROPPED)
        control_flood(c);
}

/* Whether an alert of the level "warning" means no end: in no version that is known to have no such levels. */
static bool warnings_count(const struct milgi_conn *c)
{
    const struct milgi__hs *hs = milgi__conn_hs(c);
    return c->outcome ? milgi__conn_version(c)->warnings : hs && milgi__hs_warnings(hs);
}

static void peer_alert(struct milgi_conn *c, int alert, bool warning)
{
    bool established = c->phase == MILGI__ESTABLISHED;
    if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace_alert(c, MILGI_TRACE_ALERT_RECEIVED, alert);
    if (c->events->on_alert && (alert != MILGI_ALERT_CLOSE_NOTIFY || established))
        c->events->on_alert(c, c->arg, alert);
    if (!milgi__conn_live(c))
        return;
    if (alert == MILGI_ALERT_CLOSE_NOTIFY && established) {
        c->in = c->in == MILGI__IN_ENDED ? MILGI__IN_OVER : MILGI__IN_CLOSED;
        milgi__transport_drop_input(c->transport);
    } else if (alert != MILGI_ALERT_USER_CANCELED && !warning) {
        /*= RFC8446 6.2: "Upon transmission or receipt of a fatal alert message, both parties MUST immediately close the
           connection." */
        milgi__conn_fail(c, MILGI_EALERT, alert,
            established ? "the peer sent a fatal alert" : "the peer ended the handshake");
    }
}

static void take_alert(struct milgi_conn *c, const struct milgi__message *m)
{
    uint8_t alert[2];
    if (m->len != 2 || peek(m, alert, 2) != 2) {
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR, "an alert is two bytes in one record");
        return;
    }
    /*= RFC8446 5.1: "there MUST NOT be any other records between" the fragments of a handshake message. */
    if (mid_message(c)) {
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "an alert inside a handshake message");
        return;
    }
    /*= RFC5246 7.2.2: "If an alert with a level of warning is sent and received, generally the connection can continue
     *= normally." */
    bool warning = alert[0] == 1 && alert[1] != MILGI_ALERT_CLOSE_NOTIFY && warnings_count(c);
    if ((alert[1] == MILGI_ALERT_USER_CANCELED || warning) && warning_flood(c))
        return;
    peer_alert(c, alert[1], warning);
}

/* A KeyUpdate at this record: what was opened ahead is stale. */
static void peer_updated(struct milgi_conn *c, bool requested)
{
    bool answers = c->asked_update;
    c->updates_in++;
    c->asked_update = false;
    if (!answers && control_flood(c))
        return;
    /*= RFC9846 4.7.3 / RFC8446 4.6.3: the receiver "MUST update its receiving keys". */
    if (!milgi__conn_update_read(c))
        return;
    /*= RFC8446 4.6.3: "the receiver MUST send a KeyUpdate of its own with request_update set to "update_not_requested"
     *= prior to sending its next Application Data record." */
    /* One that waits to be framed answers them all. */
    if (requested && c->out != MILGI__OUT_CLOSED && !milgi__transport_updating(c->transport))
        c->owes_update = true;
}

/*= RFC5246 7.2.2: no_renegotiation: "Sent by the client in response to a hello request or by the server in response to
 *= a client hello after initial handshaking." "This message is always a warning." */
static void refuse_renegotiation(struct milgi_conn *c)
{
    static const uint8_t alert[2] = { 1, MILGI_ALERT_NO_RENEGOTIATION };
    if (control_flood(c) || c->out == MILGI__OUT_CLOSED)
        return;
    if (milgi__transport_write(c->transport, MILGI__ALERT, alert, sizeof alert, true) != 0)
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for an alert");
    else if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace_alert(c, MILGI_TRACE_ALERT_SENT, alert[1]);
}

static void take_post(struct milgi_conn *c, const uint8_t *data, size_t len)
{
    struct milgi__failure failure;
    struct milgi__bytes ticket;
    size_t at = 0;
    while (milgi__conn_live(c)) {
        enum milgi__post_event event = milgi__post_input(&c->post, milgi__conn_version(c)->id, c->config->role,
            (size_t)milgi__conn_limit(c, MILGI_LIMIT_HANDSHAKE_MESSAGE), data, len, &at, &ticket, &failure);
        if (event == MILGI__POST_NONE)
            return;
        if (event == MILGI__POST_FAILED) {
            milgi__conn_fail_with(c, &failure);
            return;
        }
        if (event == MILGI__POST_TICKET && !is_flood(c, MILGI__FLOOD_TICKET, milgi__conn_limit(c, MILGI_LIMIT_TICKETS)))
            milgi__conn_ticket(c, ticket);
        else if (event == MILGI__POST_RENEGOTIATION)
            refuse_renegotiation(c);
        else if (event != MILGI__POST_TICKET)
            peer_updated(c, event == MILGI__POST_KEY_UPDATE_REQUESTED);
    }
}

static void take_handshake(struct milgi_conn *c, const struct milgi__message *m)
{
    struct milgi__hs *hs = milgi__conn_hs(c);
    if (hs) {
        /* If it fails it says why when it runs, which is next. */
        bool ok = true;
        for (unsigned i = 0; ok && i < m->slices_n; i++)
            ok = milgi__hs_input(hs, c->level[MILGI__READ], m->slice[i].data, m->slice[i].len) == 0;
        return;
    }
    if (m->slices_n == 1) {
        take_post(c, m->slice[0].data, m->slice[0].len);
        return;
    }
    uint8_t *whole = milgi__alloc_raw(m->len);
    if (!whole) {
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for a message");
        return;
    }
    take_post(c, whole, peek(m, whole, m->len));
    milgi__free_wiped(whole, m->len);
}

/* --- early data ------------------------------------------------------------------------------------ */

#define EARLY_MIN 64u /* of a record that is skipped: its bytes are not all that it costs */

void milgi__conn_skip_early(struct milgi_conn *c, uint32_t len)
{
    c->hs->early_skipped += MILGI__MAX(len, EARLY_MIN);
    /*= RFC8446 4.6.1: "A server receiving more than max_early_data_size bytes of 0-RTT data SHOULD terminate the
     *= connection with an "unexpected_message" alert." */
    if (c->hs->early_skipped > milgi__conn_limit(c, MILGI_LIMIT_EARLY_DATA))
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_UNEXPECTED_MESSAGE, "more early data than is skipped");
}

/* --- application data ------------------------------------------------------------------------------ */

static void take_data(struct milgi_conn *c, struct milgi__message *m)
{
    if (c->phase != MILGI__ESTABLISHED) {
        /*= RFC8446 4.2.10: "skipping all records with an external content type of "application_data" [...], up to the
         *= configured max_early_data_size" */
        const struct milgi__hs *hs = milgi__conn_hs(c);
        if (hs && !m->protected && milgi__hs_skips_early(hs) && !mid_message(c)) {
            milgi__conn_skip_early(c, m->len);
            return;
        }
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE,
            "application data before the handshake is complete");
        return;
    }
    if (mid_message(c)) {
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE,
            "application data inside a handshake message");
        return;
    }
    if (m->len == 0) {
        control_flood(c);
        return;
    }
    milgi__conn_data_moves(c, m->len);
    c->bytes_in += m->len;
    c->unconsumed += m->len;
    if (milgi__traced(milgi__conn_tracer(c)) && c->events->on_data) {
        uint64_t credit = milgi__conn_share(c, MILGI_LIMIT_CREDIT);
        if (c->unconsumed - m->len < credit && c->unconsumed >= credit)
            milgi__conn_trace_pause(c, MILGI_TRACE_PAUSE, MILGI_TRACE_CREDIT);
    }
    assert(c->unconsumed <= milgi__delivered_max(c->config));
    if (c->data_n + m->slices_n > MILGI__DATA_SLICES)
        milgi__conn_deliver(c);
    if (!milgi__conn_live(c))
        return;
    memcpy(milgi__engine_scratch(c->engine) + c->data_n, m->slice, m->slices_n * sizeof m->slice[0]);
    c->data_n += m->slices_n;
    m->slices_n = 0;
}

void milgi__conn_deliver(struct milgi_conn *c)
{
    if (!c->data_n)
        return;
    struct milgi_slice slices[MILGI__DATA_SLICES];
    unsigned n = c->data_n;
    memcpy(slices, milgi__engine_scratch(c->engine), n * sizeof *slices);
    c->data_n = 0;
    if (c->events->on_data && c->phase < MILGI__CLOSED)
        c->events->on_data(c, c->arg, slices, n);
    if (!c->events->on_data)
        c->unconsumed = 0; /* nobody has taken it, so nobody gives credit back */
    for (unsigned i = 0; i < n; i++)
        milgi__chunk_unref(slices[i].chunk);
}

void milgi__conn_dispatch(struct milgi_conn *c, struct milgi__message *m)
{
    if (m->type != MILGI__DATA)
        milgi__conn_deliver(c); /* what came before it is seen before it */
    if (milgi__conn_live(c)) {
        switch (m->type) {
        case MILGI__CCS:
            take_ccs(c, m);
            break;
        case MILGI__ALERT:
            take_alert(c, m);
            break;
        case MILGI__HANDSHAKE:
            take_handshake(c, m);
            break;
        case MILGI__DATA:
            take_data(c, m);
            break;
        default:
            milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "unknown content type");
        }
    }
    drop(m);
}
