/* SPDX-License-Identifier: Apache-2.0 */
/* mbufs that show memory of the engine's, and memory of mbufs that is lent to it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"

/* --- what waits for an mbuf ------------------------------------------------------------------------------------- */

static bool grow(struct milgi__items *q, uint32_t room)
{
    uint32_t cap = q->cap ? q->cap : 64;
    while (cap - q->n < room)
        cap *= 2;
    if (cap == q->cap)
        return true;
    struct milgi__item *ring = malloc(cap * sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = 0; i < q->n; i++)
        ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
    return true;
}

bool milgi__items_reserve(struct milgi__items *q, uint32_t marks)
{
    if (!grow(q, q->marks + marks))
        return false;
    q->marks += marks;
    return true;
}

bool milgi__items_push(struct milgi__items *q, struct milgi__item item)
{
    if (item.mark == MILGI_GRAPH_DATA && !grow(q, q->marks + 1))
        return false;
    q->marks -= item.mark == MILGI_GRAPH_DATA ? 0 : 1;
    q->ring[(q->head + q->n++) & (q->cap - 1)] = item;
    item.link->refs++;
    return true;
}

static void pop(struct milgi__items *q)
{
    struct milgi__item item = q->ring[q->head];
    q->head = (q->head + 1) & (q->cap - 1);
    q->n--;
    milgi_chunk_unref(item.chunk);
    milgi__gconn_unref(item.link);
}

void milgi__items_fini(struct milgi__items *q)
{
    while (q->n)
        pop(q);
    free(q->ring);
}

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
static void show(struct milgi_graph *g, struct milgi__item *item, struct rte_mbuf *m, uint16_t len)
{
    struct milgi__shell *shell = g->free;
    struct milgi__gconn *l = item->link;
    g->free = shell->next;
    g->stats.mbufs++;
    l->refs++;
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

/* Plaintext may come back as output, and then waits for room until that has gone: it never takes the last mbufs. */
static uint32_t kept_for_output(const struct milgi_graph *g)
{
    return g->o.packets > 1 ? RTE_MAX(g->o.packets / 4, 1u) : 0;
}

uint16_t milgi__shells_emit(struct milgi_graph *g, struct milgi__items *q, void **mbufs, uint16_t max)
{
    uint32_t most = q == &g->net ? g->o.segment : UINT16_MAX, kept = q == &g->net ? 0 : kept_for_output(g);
    uint16_t n = 0;
    while (n < max && q->n) {
        struct milgi__item *item = &q->ring[q->head];
        if (item->link->gone) {
            pop(q);
            continue;
        }
        bool none = item->len && g->stats.mbufs + kept >= g->o.packets;
        struct rte_mbuf *m = none ? NULL : rte_pktmbuf_alloc(g->headers);
        if (!m)
            break; /* until some have come back */
        uint16_t len = (uint16_t)RTE_MIN(item->len, most);
        *milgi_graph_tag(m) = (struct milgi_graph_tag){
            .conn = item->link->id, .mark = (uint8_t)item->mark, .edge = item->link->edge, .error = item->error
        };
        if (len)
            show(g, item, m, len);
        item->data += len;
        item->len -= len;
        mbufs[n++] = m;
        if (!item->len)
            pop(q);
    }
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
