/* SPDX-License-Identifier: Apache-2.0 */
/* A connection as text for people. No secrets, and no text of the peer's. */
#include "base/text.h"
#include "conn/over.h"
#include "conn/state.h"
#include "op/op.h"

#define OPS_SHOWN 16u

static const char *phase_name(unsigned phase)
{
    static const char *const names[] = { "new", "handshaking", "established", "failing", "ending", "closed", "freed" };
    return phase < MILGI__COUNT(names) ? names[phase] : "?";
}

static const char *in_name(unsigned in)
{
    static const char *const names[] = { "open", "ended by the transport", "closed by the peer",
        "closed and ended" };
    return in < MILGI__COUNT(names) ? names[in] : "?";
}

static const char *out_name(unsigned out)
{
    static const char *const names[] = { "open", "closing", "closed" };
    return out < MILGI__COUNT(names) ? names[out] : "?";
}

static void put_handshake(struct milgi__text *t, const struct milgi_conn *c)
{
    static const char *const waits[] = { "for a message", "for ops or decisions", "for room", "for nothing: open",
        "for nothing: failed" };
    const struct milgi__hs *hs = milgi__conn_hs(c);
    if (!hs)
        return;
    milgi__text_line(t, "  handshake: next is %s; waits %s", milgi__hs_step(hs), waits[c->hs->wait]);
    if (c->hs->wait == MILGI__HS_INPUT)
        milgi__text_line(t, "    message of type %d%s", milgi__hs_awaits(hs),
            milgi__hs_mid_message(hs) ? ", which has begun" : "");
    for (uint32_t left = milgi__hs_missing(hs); left; left &= left - 1)
        milgi__text_line(t, "    needs %s", milgi__hs_slot_name((unsigned)__builtin_ctz(left)));
    if (c->hs->held.len)
        milgi__text_line(t, "    %zu bytes of the application wait for its end", c->hs->held.len);
}

static void put_key(struct milgi__text *t, const struct milgi_conn *c, enum milgi__dir dir)
{
    struct milgi__transport_state s = milgi__transport_state(c->transport, dir);
    const char *name = dir == MILGI__READ ? "read" : "write";
    uint64_t epoch = milgi__conn_epoch(c, dir);
    if (milgi__conn_is_over(c, dir))
        milgi__text_line(t, "  %s key: handed over, epoch %llu, %llu records%s", name, (unsigned long long)epoch,
            (unsigned long long)s.records, milgi__conn_rekeys(c, dir) ? "" : ", for good");
    else if (epoch)
        milgi__text_line(t, "  %s key: epoch %llu, %llu records%s", name, (unsigned long long)epoch,
            (unsigned long long)s.records, s.has_key ? "" : "; wiped");
    else
        milgi__text_line(t, "  %s key: none", name);
}

static void put_in(struct milgi__text *t, const struct milgi_conn *c)
{
    struct milgi__transport_state s = milgi__transport_state(c->transport, MILGI__READ);
    milgi__text_line(t, "  in: %s; %zu bytes staged, %u records in flight of %u, %u opened for nothing%s",
        in_name(c->in), milgi__transport_staged(c->transport), s.in_flight, s.window,
        milgi__transport_stale(c->transport), c->in_paused ? "; paused" : "");
    milgi__text_line(t, "    %llu bytes delivered, %zu of them not consumed; credit %llu",
        (unsigned long long)c->bytes_in, c->unconsumed,
        (unsigned long long)milgi__conn_limit(c, MILGI_LIMIT_CREDIT));
}

static void put_out(struct milgi__text *t, const struct milgi_conn *c)
{
    struct milgi__transport_state s = milgi__transport_state(c->transport, MILGI__WRITE);
    milgi__text_line(t, "  out: %s; %zu bytes not framed, %u records in flight of %u, %llu bytes framed and not sent%s",
        out_name(c->out), milgi__transport_unframed(c->transport), s.in_flight, s.window,
        (unsigned long long)milgi__conn_with_network(c), c->want_room ? "; full" : "");
    milgi__text_line(t, "    %llu bytes given; at most %llu wait%s%s", (unsigned long long)c->bytes_out,
        (unsigned long long)milgi__conn_limit(c, MILGI_LIMIT_OUTPUT), c->blocked_room ? "; no op or chunk is free" : "",
        c->asked_update ? "; the peer was asked for new keys" : "");
}

static void put_ops(struct milgi__text *t, const struct milgi_conn *c)
{
    static const char *const states[] = { "free", "made", "waiting before", "in", "lost in", "abandoned to" };
    unsigned n = 0;
    for (const struct milgi_op *op = c->owner.first_op; op; op = op->e.owner_next, n++) {
        if (n < OPS_SHOWN)
            milgi__text_line(t, "  op %llu: %s, %s device %u",
                (unsigned long long)op->e.generation << 32 | op->e.id, milgi_op_type_name(op->type),
                op->e.state < MILGI__COUNT(states) ? states[op->e.state] : "?", op->dev);
    }
    if (n > OPS_SHOWN)
        milgi__text_line(t, "  and %u more ops", n - OPS_SHOWN);
}

static void put_failure(struct milgi__text *t, const struct milgi__failure *f)
{
    if (!f->error)
        return;
    milgi__text_line(t, "  failed: %s, %s", milgi_error_name(f->error), f->detail ? f->detail : "");
    if (f->alert != MILGI_ALERT_NONE)
        milgi__text_line(t, "    alert %s, %s", milgi_alert_name(f->alert),
            f->error == MILGI_EALERT ? "the peer's" : "ours");
    if (f->op != MILGI__NO_OP)
        milgi__text_line(t, "    op %s", milgi_op_type_name(f->op));
    if (f->device_code)
        milgi__text_line(t, "    code %d", f->device_code);
}

static void put_waits(struct milgi__text *t, unsigned waits)
{
    if (waits)
        milgi__text_line(t, "  waits for:%s%s%s%s%s%s%s", waits & MILGI_WAITS_TURN ? " turn" : "",
            waits & MILGI_WAITS_DEVICE ? " device" : "", waits & MILGI_WAITS_DECISION ? " decision" : "",
            waits & MILGI_WAITS_MEMORY ? " memory" : "", waits & MILGI_WAITS_CREDIT ? " credit" : "",
            waits & MILGI_WAITS_OUTPUT ? " output" : "", waits & MILGI_WAITS_PEER ? " peer" : "");
}

size_t milgi_conn_dump(const struct milgi_conn *c, char *text, size_t size)
{
    struct milgi__text t = milgi__text_begin(text, size);
    milgi__text_line(&t, "connection %llx: %s, %s", (unsigned long long)milgi__owner_id(&c->owner),
        c->config->role == MILGI_CLIENT ? "client" : "server", phase_name(c->phase));
    put_waits(&t, milgi_conn_waits_for(c));
    put_handshake(&t, c);
    if (c->outcome)
        milgi__text_line(&t, "  negotiated: %s, %s", milgi_suite_name(c->outcome->suite->id),
            milgi_group_name(c->outcome->group));
    put_key(&t, c, MILGI__READ);
    put_key(&t, c, MILGI__WRITE);
    put_in(&t, c);
    put_out(&t, c);
    put_ops(&t, c);
    put_failure(&t, &c->failure);
    return t.len;
}
