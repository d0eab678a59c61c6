/* SPDX-License-Identifier: Apache-2.0 */
/* The clients of `milgi proxy`: their lists and time limits. What becomes of the plaintext is a service's business. */
#include "proxy.h"
#include "common/certificate.h"
#include "common/say.h"

#include <stdlib.h>
#include <unistd.h>

#define SILENT_SLACK_MS 1000u /* the handshake's own deadline, which sends an alert, comes first */
#define LINGERING_MS 10000    /* for what a client that has ended left to its backend */
#define LATE_AT_ONCE 64u      /* a crowd that is late at the same time does not hold up others */
#define CROWD 64u             /* clients that leave traces in the heap */
#define CALM_MS 6000          /* after that the engine has given its idle chunks back, if its host lets it be late */

/*
 * glibc's: gives the system what was freed in the midst of the heap, tens of megabytes after thousands of clients.
 * Other C libraries do not have it.
 */
extern int malloc_trim(size_t pad) __attribute__((weak));

/* --- clients in the order of their last move ---------------------------------------------------------------------- */

static void on_sweep(uv_timer_t *timer);

static struct place *first_from(const struct clients *list, unsigned part)
{
    struct place *first = NULL;
    for (; !first && part < CLIENTS_PARTS; part++)
        first = list->part[part].first;
    return first;
}

struct place *clients_first(const struct clients *list)
{
    return first_from(list, 0);
}

struct place *clients_next(const struct place *place)
{
    return place->next ? place->next : first_from(place->list, place->part + 1u);
}

static void unlist(struct place *place)
{
    struct clients *list = place->list;
    if (!list)
        return;
    *(place->prev ? &place->prev->next : &list->part[place->part].first) = place->next;
    *(place->next ? &place->next->prev : &list->part[place->part].last) = place->prev;
    place->list = NULL;
}

/* How long a client may stay in this part. */
static uint64_t stay_ms(const struct clients *list, unsigned part)
{
    return list->timeout_ms - (uint64_t)list->timeout_ms * part / CLIENTS_PARTS;
}

static void enlist_in(struct place *place, struct clients *list, unsigned part)
{
    struct proxy *p = place->client->proxy;
    unlist(place);
    place->since_ms = uv_now(&p->loop);
    place->list = list;
    place->part = (uint8_t)part;
    place->next = NULL;
    place->prev = list->part[part].last;
    *(place->prev ? &place->prev->next : &list->part[part].first) = place;
    list->part[part].last = place;
    /* The timer may be set for a later one of another list: look again when it is this one's turn. */
    bool set = uv_is_active((uv_handle_t *)&p->sweep);
    if (list->timeout_ms && !p->stopping && (!set || uv_timer_get_due_in(&p->sweep) > stay_ms(list, part)))
        uv_timer_start(&p->sweep, on_sweep, stay_ms(list, part), 0);
}

static void enlist(struct place *place, struct clients *list)
{
    enlist_in(place, list, 0);
}

void proxy_touch(struct client *c)
{
    if (c->life.list == &c->proxy->open)
        enlist(&c->life, &c->proxy->open);
}

void proxy_asking(struct client *c, bool asking)
{
    if (!asking)
        unlist(&c->request);
    else if (!c->request.list)
        enlist(&c->request, &c->proxy->asking);
}

/* Once: what is to be told of its end. |reason| NULL: it is our doing. */
static void tell_end(struct client *c, const struct milgi_reason *reason)
{
    const char *why = c->why ? c->why : "the proxy ended";
    if (c->logged)
        return;
    c->logged = true;
    if (c->life.list == &c->proxy->shaking)
        failures_count(c, reason, why);
    access_log_end(&c->proxy->log, c, reason, why);
}

/* The stream is another's from here on; on_gone is all that follows of it. */
static void part(struct client *c, bool in_order)
{
    tell_end(c, NULL);
    unlist(&c->life);
    unlist(&c->request);
    c->stream = NULL;
    if (!c->served)
        return;
    enlist(&c->life, &c->proxy->lingering);
    c->proxy->service->closed(c, in_order);
}

static bool crowd_has_left(const struct proxy *p)
{
    return p->clients_most >= CROWD && p->clients_n <= p->clients_most / 4;
}

static void on_calm(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    if (!crowd_has_left(p))
        return;
    p->clients_most = p->clients_n;
    if (malloc_trim)
        malloc_trim(0);
}

static void forget(struct client *c)
{
    struct proxy *p = c->proxy;
    if (!c->gone || c->served)
        return;
    unlist(&c->life);
    free(c->subject);
    free(c->common_name);
    free(c);
    p->clients_n--;
    if (crowd_has_left(p) && !p->stopping && !uv_is_active((uv_handle_t *)&p->calm))
        uv_timer_start(&p->calm, on_calm, CALM_MS, 0);
    proxy_listen(p);
}

void proxy_done(struct client *c)
{
    c->served = false;
    c->state = NULL;
    if (c->life.list == &c->proxy->lingering)
        unlist(&c->life);
    forget(c);
}

void proxy_close(struct client *c)
{
    struct milgi_stream *stream = c->stream;
    part(c, false);
    if (c->preface)
        preface_stop(c);
    if (stream)
        milgi_stream_close(stream);
}

void proxy_cut(struct client *c)
{
    struct milgi_stream *stream = c->stream;
    part(c, false);
    if (stream)
        milgi_stream_cut(stream);
}

void proxy_end(struct client *c)
{
    bool (*at_rest)(const struct client *) = c->proxy->service->at_rest;
    if (at_rest && c->served && at_rest(c))
        proxy_close(c);
    else
        proxy_cut(c);
}

/* When to look at this list again, from |now| on: soon, when there are too many for one go. */
static uint64_t sweep_list(struct clients *list, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    unsigned n = 0;
    for (unsigned part = 0; list->timeout_ms && part < CLIENTS_PARTS; part++) {
        struct place *place;
        while ((place = list->part[part].first) && place->since_ms + stay_ms(list, part) <= now) {
            if (n++ == LATE_AT_ONCE)
                return 1;
            list->late(place->client);
        }
        if (place && place->since_ms + stay_ms(list, part) - now < next)
            next = place->since_ms + stay_ms(list, part) - now;
    }
    return next;
}

static void on_sweep(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    struct clients *lists[] = { &p->shaking, &p->open, &p->lingering, &p->asking };
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        uint64_t due = sweep_list(lists[i], uv_now(&p->loop));
        next = due < next ? due : next;
    }
    if (next != UINT64_MAX)
        uv_timer_start(&p->sweep, on_sweep, next, 0);
}

/*
 * For how long nothing has moved on either side. What we read and write says little of that: a peer that reads slowly
 * but all the time lives off the kernel's buffers, and it is not idle.
 */
static uint64_t idle_ms(struct client *c)
{
    uint64_t front = c->stream ? milgi_stream_idle_ms(c->stream) : UINT64_MAX;
    uint64_t back = c->served && c->proxy->service->idle_ms ? c->proxy->service->idle_ms(c) : UINT64_MAX;
    return front < back ? front : back;
}

/* True: it is not idle at all, and listed again: for a sixteenth of the limit too long at most, never too short. */
static bool moves(struct client *c, struct clients *list)
{
    uint64_t idle = idle_ms(c);
    if (idle >= list->timeout_ms)
        return false;
    enlist_in(&c->life, list, (unsigned)(idle * CLIENTS_PARTS / list->timeout_ms));
    return true;
}

static void late_handshake(struct client *c)
{
    c->why = "handshake timeout";
    proxy_close(c);
}

static void late_open(struct client *c)
{
    if (moves(c, &c->proxy->open))
        return;
    c->why = "idle timeout";
    proxy_end(c);
}

static void late_lingering(struct client *c)
{
    if (!moves(c, &c->proxy->lingering))
        proxy_cut(c);
}

static void late_request(struct client *c)
{
    c->why = "request timeout";
    unlist(&c->request);
    c->proxy->service->late(c);
}

void clients_init(struct proxy *p)
{
    const struct app_options *o = p->options;
    p->shaking = (struct clients){ .late = late_handshake };
    p->open = (struct clients){ .timeout_ms = o->idle_ms, .late = late_open };
    p->lingering = (struct clients){ .timeout_ms = LINGERING_MS, .late = late_lingering };
    p->asking = (struct clients){ .timeout_ms = o->request_ms, .late = late_request };
    if (o->handshake_ms)
        p->shaking.timeout_ms = o->handshake_ms + SILENT_SLACK_MS;
}

static void part_list(struct clients *list)
{
    for (struct place *place = clients_first(list), *next; place; place = next) {
        next = clients_next(place);
        if (place->client->preface)
            preface_stop(place->client);
        part(place->client, false);
    }
}

void clients_part(struct proxy *p)
{
    part_list(&p->shaking);
    part_list(&p->open);
    for (struct place *place = clients_first(&p->lingering), *next; place; place = next) {
        next = clients_next(place);
        p->service->closed(place->client, false);
    }
}

void clients_add(struct client *c)
{
    struct proxy *p = c->proxy;
    c->begin_ms = uv_now(&p->loop);
    p->counts.accepted++;
    p->clients_n++;
    p->clients_most = p->clients_n > p->clients_most ? p->clients_n : p->clients_most;
    enlist(&c->life, &p->shaking);
}

/* --- what a stream tells ------------------------------------------------------------------------------------------ */

/* What its certificate says, verified or not. */
static void read_certificate(struct client *c)
{
    struct milgi_conn_info info;
    milgi_conn_info(milgi_stream_conn(c->stream), &info);
    if (!info.peer_chain_n || c->subject)
        return;
    c->subject = app_subject(&info.peer_chain[0]);
    c->common_name = app_common_name(&info.peer_chain[0]);
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    read_certificate(c);
    c->proxy->counts.established++;
    enlist(&c->life, &c->proxy->open);
    if (c->proxy->options->ktls)
        milgi_stream_offload(stream);
    c->served = c->proxy->service->open(c);
    if (!c->served)
        milgi_stream_abort(stream, MILGI_ALERT_INTERNAL_ERROR);
}

void client_prefaced(struct client *c, int fd)
{
    struct proxy *p = c->proxy;
    c->preface = NULL;
    int rv = app_tls_accept(&p->tls, fd, &clients_events, c, &c->stream);
    if (!rv)
        return;
    app_complain("cannot accept a connection: %s", milgi_error_text(rv));
    close(fd);
    client_gone(c);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct client *c = arg;
    (void)stream;
    proxy_touch(c);
    if (c->served)
        c->proxy->service->data(c, slices, slices_n);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    proxy_touch(c);
    if (c->served)
        c->proxy->service->end(c);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    proxy_touch(c);
    if (c->served)
        c->proxy->service->room(c);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct client *c = arg;
    (void)stream;
    read_certificate(c);
    tell_end(c, reason);
    if (!reason->error)
        c->proxy->counts.in_order++;
    part(c, !reason->error);
}

void client_gone(struct client *c)
{
    if (c->stream || c->life.list == &c->proxy->shaking)
        part(c, false);
    c->gone = true;
    forget(c);
}

static void on_gone(void *arg)
{
    client_gone(arg);
}

static void on_kernel(struct milgi_stream *stream, void *arg, enum milgi_direction direction)
{
    struct client *c = arg;
    (void)stream;
    c->proxy->counts.kernel[direction]++;
    if (c->served && c->proxy->service->kernel)
        c->proxy->service->kernel(c);
}

static void on_splice(struct milgi_stream *stream, void *arg, enum milgi_direction direction)
{
    struct client *c = arg;
    (void)stream;
    if (c->served && c->proxy->service->splice)
        c->proxy->service->splice(c, direction);
}

const struct milgi_stream_events clients_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
    .on_kernel = on_kernel,
    .on_splice = on_splice,
};
