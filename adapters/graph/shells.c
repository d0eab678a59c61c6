/* SPDX-License-Identifier: Apache-2.0 */
/* mbufs that show memory of the engine's, and memory of mbufs that is lent to it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

#define RUN 16 /* mbufs of one connection before the next has its turn */

/* --- mbufs of ours ---------------------------------------------------------------------------------------------- */

/* From whichever thread; nothing of the library is called here, which may be what frees it. */
static void came_back(void *addr, void *arg)
{
    struct milgi__shell *shell = arg;
    struct milgi_graph *g = shell->graph;
    (void)addr;
    if ((uintptr_t)pthread_self() == atomic_load_explicit(&g->thread, memory_order_relaxed)) {
        shell->next_back = g->back;
        g->back = shell;
        return;
    }
    struct milgi__shell *head = atomic_load_explicit(&g->remote, memory_order_relaxed);
    do
        shell->next_back = head;
    while (!atomic_compare_exchange_weak_explicit(
        &g->remote, &head, shell, memory_order_release, memory_order_relaxed));
}

bool milgi__shells_init(struct milgi_graph *g, uint32_t n)
{
    g->shells = calloc(n, sizeof *g->shells);
    for (uint32_t i = 0; g->shells && i < n; i++) {
        g->shells[i].graph = g;
        g->shells[i].info.free_cb = came_back;
        g->shells[i].info.fcb_opaque = &g->shells[i];
        g->shells[i].next = g->free;
        g->free = &g->shells[i];
    }
    return g->shells != NULL;
}

/* Output that has gone is told in order. */
static void output_done(struct milgi_graph *g, struct milgi__gconn *l)
{
    while (l->first && l->first->back) {
        struct milgi__shell *shell = l->first;
        l->first = shell->next;
        if (!l->first)
            l->last = NULL;
        if (!l->gone)
            milgi_conn_output_done(l->conn, shell->len);
        milgi__gqueue_back(&l->net, &g->net);
        shell->next = g->free;
        g->free = shell;
        g->stats.mbufs--;
        milgi__gconn_unref(l);
    }
    milgi__gconn_over(l);
}

static void collect(struct milgi_graph *g, struct milgi__shell *shell)
{
    struct milgi__gconn *l = shell->link;
    shell->back = true;
    if (!shell->chunk) {
        l->refs++; /* until it was looked at */
        output_done(g, l);
        milgi__gconn_unref(l);
        return;
    }
    milgi_chunk_unref(shell->chunk);
    if (!l->gone)
        milgi_conn_consumed(l->conn, shell->len);
    milgi__gqueue_back(&l->app, &g->app);
    shell->next = g->free;
    g->free = shell;
    g->stats.mbufs--;
    milgi__gconn_unref(l);
}

void milgi__shells_collect(struct milgi_graph *g)
{
    struct milgi__shell *back = g->back;
    g->back = NULL;
    for (struct milgi__shell *next; back; back = next) {
        next = back->next_back;
        collect(g, back);
    }
    if (!atomic_load_explicit(&g->remote, memory_order_relaxed))
        return;
    back = atomic_exchange_explicit(&g->remote, NULL, memory_order_acquire);
    for (struct milgi__shell *next; back; back = next) {
        next = back->next_back;
        collect(g, back);
    }
}

static rte_iova_t iova_of(const void *data)
{
    return rte_eal_iova_mode() == RTE_IOVA_VA ? (rte_iova_t)(uintptr_t)data : rte_mem_virt2iova(data);
}

/* The first |len| bytes of the item in an mbuf. */
static void show(struct milgi__gqueue *q, const struct milgi__item *item, struct rte_mbuf *m, uint16_t len)
{
    struct milgi__gconn *l = q->link;
    struct milgi_graph *g = l->graph;
    struct milgi__shell *shell = g->free;
    g->free = shell->next;
    g->stats.mbufs++;
    l->refs++;
    q->out++;
    shell->link = l;
    shell->len = len;
    shell->back = false;
    shell->next = NULL;
    shell->chunk = item->chunk ? milgi_chunk_ref(item->chunk) : NULL;
    if (!item->chunk) {
        *(l->last ? &l->last->next : &l->first) = shell;
        l->last = shell;
    }
    rte_mbuf_ext_refcnt_set(&shell->info, 1);
    rte_pktmbuf_attach_extbuf(m, item->data, iova_of(item->data), len, &shell->info);
    m->data_len = len;
    m->pkt_len = len;
}

/* The next of the queue; NULL: none until some have come back. */
static struct rte_mbuf *next_of(struct milgi__gqueue *q, struct milgi__line *line)
{
    struct milgi__gconn *l = q->link;
    struct milgi__item *item = q->first;
    struct rte_mbuf *m = rte_pktmbuf_alloc(l->graph->headers);
    if (!m) {
        l->graph->unseen = true;
        return NULL;
    }
    uint16_t len = (uint16_t)RTE_MIN(item->len, line->most);
    *milgi_graph_tag(m) = (struct milgi_graph_tag){
        .conn = l->id, .mark = (uint8_t)item->mark, .edge = l->edge, .error = item->error
    };
    if (len)
        show(q, item, m, len);
    item->data += len;
    item->len -= len;
    if (!item->len)
        milgi__gqueue_pop(q, line);
    return m;
}

/*
 * By turns, and no connection has more mbufs than it leaves to all others: however small its records are, and whoever
 * keeps what is in them, there is one for who has none.
 */
uint16_t milgi__shells_emit(struct milgi_graph *g, struct milgi__line *line, void **mbufs, uint16_t max)
{
    uint16_t n = 0, run = 0;
    while (n < max && line->first) {
        struct milgi__gqueue *q = line->first;
        uint32_t taken = g->stats.mbufs + line->kept, left = g->o.packets - RTE_MIN(taken, g->o.packets);
        struct rte_mbuf *m = NULL;
        if (!q->first->len || left > q->out)
            m = next_of(q, line);
        else if (left)
            milgi__gqueue_leave(q, line); /* until one of its own comes back */
        if (!m && q->stands)
            break;
        run = m && q->stands ? run + 1 : 0;
        if (run == RUN) {
            milgi__gqueue_turn(q, line);
            run = 0;
        }
        if (m)
            mbufs[n++] = m;
    }
    if (run > 0)
        milgi__gqueue_turn(line->first, line);
    line->dry = n < max && line->first;
    return n;
}

/* --- mbufs of others -------------------------------------------------------------------------------------------- */

static void give_back(void *arg)
{
    rte_pktmbuf_free_seg(arg);
}

/* Opened where it lies, it is written: that is for memory which nobody else sees. */
static bool is_its_own(const struct rte_mbuf *m)
{
    return (RTE_MBUF_DIRECT(m) || RTE_MBUF_HAS_PINNED_EXTBUF(m)) && rte_mbuf_refcnt_read(m) == 1;
}

bool milgi__graph_lend(struct milgi__gconn *l, struct rte_mbuf *m, bool written, struct milgi_slice *slice)
{
    struct milgi_graph *g = l->graph;
    uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
    uint32_t room = (uint32_t)m->buf_len - m->data_off;
    struct milgi_chunk *chunk = NULL;
    if (!written || is_its_own(m))
        chunk = milgi_chunk_lend(g->o.engine, data, room, give_back, m);
    if (!chunk) {
        chunk = milgi_conn_chunk(l->conn, m->data_len);
        if (!chunk)
            return false;
        data = memcpy(milgi_chunk_data(chunk), data, m->data_len);
        *slice = (struct milgi_slice){ chunk, data, m->data_len };
        g->stats.copied++;
        rte_pktmbuf_free_seg(m);
        return true;
    }
    *slice = (struct milgi_slice){ chunk, data, m->data_len };
    return true;
}
