/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: what comes for it is given to it, or held until it takes it; what it tells waits for the nodes. */
#include "graph.h"

/* --- held ------------------------------------------------------------------------------------------------------- */

static void hold(struct milgi__gconn *l, struct milgi__held *h, struct rte_mbuf *m)
{
    *(h->last ? &h->last->next : &h->first) = m;
    h->last = m;
    h->len += m->data_len;
    l->graph->stats.held++;
    milgi__gconn_wait(l);
}

static struct rte_mbuf *first_of(struct milgi__held *h)
{
    struct rte_mbuf *m = h->first;
    h->first = m->next;
    if (!h->first)
        h->last = NULL;
    h->len -= m->data_len;
    m->next = NULL;
    return m;
}

static void put_back(struct milgi__held *h, struct rte_mbuf *m)
{
    m->next = h->first;
    h->first = m;
    if (!h->last)
        h->last = m;
    h->len += m->data_len;
}

void milgi__gconn_drop_held(struct milgi__gconn *l)
{
    while (l->in.first)
        rte_pktmbuf_free_seg(first_of(&l->in));
    while (l->out.first)
        rte_pktmbuf_free_seg(first_of(&l->out));
    milgi_chunk_unref(l->stuck.chunk);
    l->stuck.chunk = NULL;
}

/* A segment by itself; NULL: that was the last. */
static struct rte_mbuf *split(struct rte_mbuf *m)
{
    struct rte_mbuf *rest = m->next;
    m->next = NULL;
    m->nb_segs = 1;
    m->pkt_len = m->data_len;
    return rest;
}

/* --- from the network ------------------------------------------------------------------------------------------- */

/*
 * It takes nothing now: it is without credit, or what it has brought waits for the mbufs that it has out. One that has
 * ended takes all, and drops it.
 */
static bool is_shut(const struct milgi__gconn *l)
{
    bool full = milgi__gqueue_has_enough(&l->app) || milgi_conn_input_paused(l->conn);
    return !l->closed && !l->overrun && full;
}

bool milgi__gconn_takes(const struct milgi__gconn *l)
{
    return l->closed || (!l->in.first && !is_shut(l));
}

/*
 * Of |m| what ends the record that is begun, which can be had when nothing else can: so those that hold parts of
 * records do not wait for each other. False: not even that.
 */
static bool take_rest(struct milgi__gconn *l, struct rte_mbuf *m, struct milgi_slice *slice)
{
    size_t rest = milgi_conn_record_rest(l->conn);
    struct milgi_chunk *chunk = rest < m->data_len ? milgi_conn_chunk(l->conn, rest) : NULL;
    if (!chunk)
        return false;
    *slice = (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)rest };
    memcpy(slice->data, rte_pktmbuf_mtod(m, void *), rest);
    rte_pktmbuf_adj(m, (uint16_t)rest);
    l->graph->stats.copied++;
    return true;
}

/* False: there is no memory now for all of it. */
static bool receive(struct milgi__gconn *l, struct rte_mbuf *m)
{
    struct milgi_slice slice;
    bool all = milgi__graph_lend(l, m, true, &slice);
    if (!all && !take_rest(l, m, &slice))
        return false;
    if (milgi_conn_receive(l->conn, slice) == MILGI_ECLOSED)
        l->graph->stats.late++;
    return all;
}

static void again_in(struct milgi__gconn *l)
{
    while (l->in.first && !is_shut(l)) {
        struct rte_mbuf *m = first_of(&l->in);
        if (!receive(l, m)) {
            put_back(&l->in, m);
            l->starved = true;
            return;
        }
    }
    if (!l->in.first && l->eof) {
        l->eof = false;
        milgi_conn_receive_eof(l->conn, l->eof_error);
    }
}

void milgi__gconn_input(struct milgi__gconn *l, struct rte_mbuf *m)
{
    struct milgi_graph *g = l->graph;
    const struct milgi_graph_tag tag = *milgi_graph_tag(m);
    for (struct rte_mbuf *rest; m; m = rest) {
        rest = split(m);
        if (!m->data_len) {
            rte_pktmbuf_free_seg(m);
            continue;
        }
        g->stats.in++;
        if (!l->in.first && !is_shut(l) && receive(l, m))
            continue;
        hold(l, &l->in, m);
    }
    if (tag.mark == MILGI_GRAPH_END) {
        l->eof = true;
        l->eof_error = tag.error;
        again_in(l);
    }
    if (l->in.len > g->o.held_max && !l->closed && !l->overrun) {
        g->stats.overrun++;
        l->overrun = true;
        milgi_conn_abort(l->conn, MILGI_ALERT_INTERNAL_ERROR);
    }
    if (l->eof)
        milgi__gconn_wait(l);
}

/* --- from the application --------------------------------------------------------------------------------------- */

/* False: it has to wait. */
static bool send_slice(struct milgi__gconn *l, struct milgi_slice slice)
{
    int rv = milgi_conn_send(l->conn, slice);
    if (rv >= 0)
        return true;
    if (rv == MILGI_ENOMEM || rv == MILGI_ELIMIT) {
        l->stuck = slice;
        l->starved = true;
        milgi__gconn_wait(l);
        return false;
    }
    milgi_chunk_unref(slice.chunk);
    l->graph->stats.late++;
    return true;
}

static bool is_full(const struct milgi__gconn *l)
{
    return l->stuck.chunk || l->out.first || milgi_conn_output_full(l->conn);
}

static void again_out(struct milgi__gconn *l)
{
    struct milgi_slice slice = l->stuck;
    if (slice.chunk) {
        l->stuck.chunk = NULL;
        if (!send_slice(l, slice))
            return;
    }
    while (l->out.first && (l->closed || !milgi_conn_output_full(l->conn))) {
        struct rte_mbuf *m = first_of(&l->out);
        if (!milgi__graph_lend(l, m, false, &slice)) {
            put_back(&l->out, m);
            l->starved = true;
            return;
        }
        if (!send_slice(l, slice))
            return;
    }
    if (!l->out.first && !l->stuck.chunk && l->end) {
        l->end = false;
        milgi_conn_shutdown(l->conn);
    }
}

void milgi__gconn_app(struct milgi__gconn *l, struct rte_mbuf *m)
{
    const struct milgi_graph_tag tag = *milgi_graph_tag(m);
    for (struct rte_mbuf *rest; m; m = rest) {
        struct milgi_slice slice;
        rest = split(m);
        if (!m->data_len) {
            rte_pktmbuf_free_seg(m);
            continue;
        }
        l->graph->stats.app_in++;
        if (!is_full(l) && milgi__graph_lend(l, m, false, &slice))
            (void)send_slice(l, slice);
        else
            hold(l, &l->out, m);
    }
    if (tag.mark == MILGI_GRAPH_END) {
        l->end = true;
        again_out(l);
    }
    if (l->end)
        milgi__gconn_wait(l);
}

/* What was in want of memory tries in every walk, and no walk is made for it. */
bool milgi__gconn_can_go(const struct milgi__gconn *l)
{
    bool in = l->in.first ? !is_shut(l) : l->eof;
    bool out = l->stuck.chunk || l->out.first ? l->closed || !milgi_conn_output_full(l->conn) : l->end;
    return !l->starved && (in || out);
}

void milgi__gconn_again(struct milgi__gconn *l)
{
    l->starved = false;
    again_in(l);
    again_out(l);
    if (l->in.first || l->eof || l->out.first || l->stuck.chunk || l->end)
        milgi__gconn_wait(l);
}

/* --- what the connection tells ---------------------------------------------------------------------------------- */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct milgi__gconn *l = arg;
    for (size_t i = 0; i < n; i++) {
        uint8_t *data = (uint8_t *)(uintptr_t)iov[i].data;
        for (size_t at = 0, len; at < iov[i].len; at += len) {
            len = RTE_MIN(iov[i].len - at, (size_t)UINT32_MAX / 2);
            struct milgi__item item = { .data = data + at, .len = (uint32_t)len };
            if (!milgi__gqueue_push(&l->net, &l->graph->net, &item)) {
                milgi_conn_abort(conn, MILGI_ALERT_NONE); /* a gap is nothing to go on behind */
                return;
            }
        }
    }
}

/* Kept for as long as an mbuf shows it; without memory for a small copy the whole chunk is. */
static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct milgi__gconn *l = arg;
    for (size_t i = 0; i < n; i++) {
        struct milgi_slice kept = slices[i];
        if (milgi_slice_keep(&slices[i], &kept) != 0)
            milgi_chunk_ref(kept.chunk);
        struct milgi__item item = { .chunk = kept.chunk, .data = kept.data, .len = kept.len };
        if (!milgi__gqueue_push(&l->app, &l->graph->app, &item)) {
            milgi_chunk_unref(kept.chunk);
            milgi_conn_abort(conn, MILGI_ALERT_INTERNAL_ERROR);
            return;
        }
    }
}

static void mark_app(struct milgi__gconn *l, enum milgi_graph_mark mark, int error)
{
    if (l->app_marks) {
        l->app_marks--;
        (void)milgi__gqueue_push(&l->app, &l->graph->app, &(struct milgi__item){ .mark = mark, .error = error });
    }
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    (void)conn;
    mark_app(arg, MILGI_GRAPH_OPEN, 0);
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    (void)conn;
    if (alert == MILGI_ALERT_CLOSE_NOTIFY)
        mark_app(arg, MILGI_GRAPH_END, 0);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct milgi__gconn *l = arg;
    (void)conn;
    if (l->graph->o.on_decide)
        l->graph->o.on_decide(l->graph, l->id, decision);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct milgi__gconn *l = arg;
    (void)conn;
    l->closed = true;
    l->reason = *reason;
    l->net_marks--;
    (void)milgi__gqueue_push(&l->net, &l->graph->net, &(struct milgi__item){ .mark = MILGI_GRAPH_END });
    mark_app(l, MILGI_GRAPH_CLOSED, reason->error);
}

const struct milgi_events milgi__graph_events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_decide = on_decide,
    .on_alert = on_alert,
    .on_closed = on_closed,
};
