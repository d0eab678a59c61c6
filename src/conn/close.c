/* SPDX-License-Identifier: Apache-2.0 */
/* Ends: what a failure leads to, close_notify, the one on_closed, and the memory's end. */
#include "conn/close.h"

#include "conn/fail.h"
#include "conn/handshake.h"
#include "conn/output.h"
#include "conn/trace.h"

/* An alert behind what is queued; drawn from the reserve. */
static void queue_alert(struct milgi_conn *c, int level, int alert)
{
    uint8_t bytes[2] = { (uint8_t)level, (uint8_t)alert };
    struct milgi__failure failure = milgi__failure(MILGI_ENOMEM, MILGI_ALERT_NONE, "no memory for an alert");
    if (milgi__transport_write(c->transport, MILGI__ALERT, bytes, 2, true) != 0)
        milgi__transport_break(c->transport, &failure); /* it cannot be told: the transport's end must do */
    else if (milgi__traced(c->tracer))
        milgi__conn_trace_alert(c, MILGI_TRACE_ALERT_SENT, alert);
}

void milgi__conn_settle(struct milgi_conn *c)
{
    if (c->phase != MILGI__FAILING)
        return;
    struct milgi__failure *f = &c->failure;
    c->phase = MILGI__ENDING;
    milgi__engine_deadline(c->engine, &c->owner, UINT64_MAX);
    milgi__conn_keep_peer(c);
    milgi__conn_handshake_free(c);
    milgi__transport_drop_input(c->transport);
    /*= RFC8446 6.1: close_notify: "notifies the recipient that the sender will not send any more messages": no alert
       behind it. One that is not framed yet, the last of what waits, is dropped, so that its place is free. */
    bool closed = c->out == MILGI__OUT_CLOSED && !milgi__transport_next_type(c->transport);
    milgi__transport_drop_output(c->transport);
    c->out = MILGI__OUT_CLOSED;
    if (f->error == MILGI_EALERT)
        return;
    if (closed || milgi__transport_broken(c->transport))
        f->alert = MILGI_ALERT_NONE;
    if (f->alert == MILGI_ALERT_NONE)
        return;
    bool canceled = f->alert == MILGI_ALERT_USER_CANCELED;
    queue_alert(c, canceled ? 1 : 2, f->alert);
    /*= RFC8446 6.1: user_canceled "SHOULD be followed by a "close_notify"". Behind data it would say that this was all,
       which is not so. */
    if (canceled && !c->app_open)
        queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
}

int milgi_conn_shutdown(struct milgi_conn *c)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c) || c->out != MILGI__OUT_OPEN)
        return MILGI_ECLOSED;
    c->out = MILGI__OUT_CLOSING;
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

int milgi_conn_abort(struct milgi_conn *c, int alert)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c))
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
    if (milgi__traced(c->tracer))
        milgi__conn_trace_closed(c, &reason);
    if (c->events->on_closed)
        c->events->on_closed(c, c->arg, &reason);
}

/* Both directions are closed, or one has failed; and nothing is left that could be sent. */
static bool is_over(const struct milgi_conn *c)
{
    bool in_order = milgi__conn_live(c) && c->in >= MILGI__IN_CLOSED && c->out == MILGI__OUT_CLOSED;
    return (in_order || c->phase == MILGI__ENDING) &&
        (milgi__transport_broken(c->transport) || !milgi__transport_out_busy(c->transport));
}

void milgi__conn_close_state(struct milgi_conn *c)
{
    uint64_t spent = 0;
    milgi__conn_settle(c);
    if (milgi__conn_live(c) && c->out == MILGI__OUT_CLOSING && c->app_open) {
        c->out = MILGI__OUT_CLOSED;
        queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
    }
    if (c->out == MILGI__OUT_CLOSED)
        milgi__conn_pump_out(c, &spent);
    milgi__conn_settle(c); /* it may have failed in this */
    if (!is_over(c))
        return;
    c->phase = MILGI__CLOSED;
    milgi__conn_flush(c);
    if (c->phase != MILGI__FREED)
        tell_closed(c);
    milgi__conn_forget_chain(c);
}

void milgi__conn_destroy(struct milgi_conn *c)
{
    milgi__engine_detach(c->engine, &c->owner);
    milgi__conn_handshake_free(c);
    milgi__post_fini(&c->post);
    milgi__transport_free(c->transport);
    milgi__bufq_clear(&c->output);
    milgi_chunk_unref(c->in_tail);
    milgi_credential_unref(c->credential);
    milgi_config_unref(c->config);
    milgi__conn_forget_chain(c);
    milgi__free(c->server_name);
    milgi__free(c->alpn);
    milgi__free_wiped(c, sizeof *c);
}
