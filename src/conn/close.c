/* SPDX-License-Identifier: Apache-2.0 */
/* Ends: close_notify in each direction, fatal alerts, and the one on_closed. */
#include "conn/impl.h"

/* An alert behind what is framed; drawn from the reserve. */
static void queue_alert(struct milgi_conn *c, int level, int alert)
{
    uint8_t bytes[2] = { (uint8_t)level, (uint8_t)alert };
    struct milgi__failure failure = milgi__failure(MILGI_ENOMEM, MILGI_ALERT_NONE, "no memory for an alert");
    if (milgi__record_write(&c->rec, MILGI__ALERT, bytes, 2, true) != 0)
        milgi__record_break_send(&c->rec, &failure); /* it cannot be told: the transport's end must do */
}

void milgi__conn_fail_with(struct milgi_conn *c, const struct milgi__failure *failure)
{
    if (c->failed || c->closed_told)
        return;
    c->failed = true;
    c->failure = *failure;
    /* A close_notify that is not framed yet is dropped with the rest, so that its place is free. */
    c->closed_out = c->closed_out && !c->rec.pending;
    /*= RFC8446 6.1: close_notify: "notifies the recipient that the sender will not send any more messages": no alert
       behind it. */
    bool own = failure->error != MILGI_EALERT;
    bool tells = own && failure->alert != MILGI_ALERT_NONE && !c->closed_out && !milgi__record_send_broken(&c->rec);
    if (own && !tells)
        c->failure.alert = MILGI_ALERT_NONE;
    milgi__record_drop_pending(&c->rec);
    if (tells) {
        /*= RFC8446 6.1: user_canceled "SHOULD be followed by a "close_notify"". */
        bool canceled = failure->alert == MILGI_ALERT_USER_CANCELED;
        queue_alert(c, canceled ? 1 : 2, failure->alert);
        if (canceled)
            queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
    }
    milgi__record_drop_input(&c->rec);
    milgi__engine_deadline(c->engine, &c->owner, UINT64_MAX);
    milgi__engine_ready(c->engine, &c->owner);
}

void milgi__conn_fail(struct milgi_conn *c, int error, int alert, const char *detail)
{
    struct milgi__failure failure = milgi__failure(error, alert, detail);
    milgi__conn_fail_with(c, &failure);
}

void milgi__conn_peer_alert(struct milgi_conn *c, int alert)
{
    if (c->events->on_alert && (alert != MILGI_ALERT_CLOSE_NOTIFY || c->established))
        c->events->on_alert(c, c->arg, alert);
    if (c->dead)
        return;
    if (alert == MILGI_ALERT_CLOSE_NOTIFY && c->established) {
        c->closed_in = true;
        milgi__record_drop_input(&c->rec);
    } else if (alert != MILGI_ALERT_USER_CANCELED) {
        /*= RFC8446 6.2: "Upon transmission or receipt of a fatal alert message, both parties MUST immediately close the
           connection." */
        milgi__conn_fail(c, MILGI_EALERT, alert,
            c->established ? "the peer sent a fatal alert" : "the peer ended the handshake");
    }
}

int milgi_conn_shutdown(struct milgi_conn *c)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->dead || c->failed || c->shutdown_wanted || c->closed_told)
        return MILGI_ECLOSED;
    c->shutdown_wanted = true;
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

int milgi_conn_abort(struct milgi_conn *c, int alert)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->dead || c->failed || c->closed_told)
        return MILGI_ECLOSED;
    if (alert <= MILGI_ALERT_CLOSE_NOTIFY || alert > MILGI_ALERT_NONE)
        return MILGI_EINVAL; /* no alert, or one that would say that all is well */
    milgi__conn_fail(c, MILGI_EREFUSED, alert, "aborted by the application");
    return 0;
}

/* What failed, as the application is told it. */
static void tell_closed(struct milgi_conn *c)
{
    const struct milgi__failure *f = &c->failure;
    struct milgi_reason reason = {
        .error = f->error,
        .cls = milgi_error_class(f->error),
        .alert = f->alert,
        .alert_from_peer = f->error == MILGI_EALERT,
        .op = f->op,
        .device_code = f->device_code,
        .detail = f->detail,
    };
    c->events->on_closed(c, c->arg, &reason);
}

void milgi__conn_close_state(struct milgi_conn *c)
{
    uint64_t spent = 0;
    if (c->failed)
        milgi__conn_handshake_free(c);
    if (c->shutdown_wanted && !c->closed_out && !c->failed && c->app_open) {
        c->closed_out = true;
        queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
    }
    if (c->failed || c->closed_out)
        milgi__conn_pump_out(c, &spent);
    bool out_over = milgi__record_send_broken(&c->rec) || !milgi__record_out_busy(&c->rec);
    bool over = c->failed || (c->closed_in && c->closed_out);
    if (c->dead || c->closed_told || !over || !out_over)
        return;
    c->closed_told = true;
    milgi__conn_flush(c);
    if (!c->dead && c->events->on_closed)
        tell_closed(c);
}
