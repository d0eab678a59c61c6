/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked where, when again, and when it is over. */
#include "keyless.h"

#include <stdlib.h>
#include <string.h>

#define MS_NS UINT64_C(1000000)
#define PENALTY_MOST_NS (1000 * MS_NS)
#define PATIENCE_NS (20 * MS_NS) /* until there are measurements */
#define PATIENCE_LEAST_NS (1 * MS_NS)
#define SENDS_MAX 32u    /* of one request, to servers that keep going away */
#define CREDIT_MAX 3200u /* so many hundredths may be saved up */

/* --- lists -------------------------------------------------------------------------------------------------------- */

static void put(struct milgi__keyless_list *list, struct milgi__keyless_request *r, bool in_front)
{
    r->in = list;
    r->line.prev = in_front ? NULL : list->last;
    r->line.next = in_front ? list->first : NULL;
    if (r->line.prev)
        r->line.prev->line.next = r;
    else
        list->first = r;
    if (r->line.next)
        r->line.next->line.prev = r;
    else
        list->last = r;
    list->n++;
}

static void wish_for(struct milgi__keyless_server *server, struct milgi__keyless_request *r)
{
    struct milgi__keyless_list *list = &server->wished[r->flies];
    struct milgi__keyless_links *links = &r->wish[server->index];
    r->wishes |= (uint16_t)(1u << server->index);
    *links = (struct milgi__keyless_links){ .prev = list->last };
    if (list->last)
        list->last->wish[server->index].next = r;
    else
        list->first = r;
    list->last = r;
    list->n++;
}

static void stop_wishing(struct milgi__keyless_server *server, struct milgi__keyless_request *r)
{
    struct milgi__keyless_list *list = &server->wished[r->flies];
    const struct milgi__keyless_links *links = &r->wish[server->index];
    if (links->prev)
        links->prev->wish[server->index].next = links->next;
    else
        list->first = links->next;
    if (links->next)
        links->next->wish[server->index].prev = links->prev;
    else
        list->last = links->prev;
    list->n--;
}

static void take_out(struct milgi__keyless *k, struct milgi__keyless_request *r)
{
    struct milgi__keyless_list *list = r->in;
    for (unsigned i = 0; r->wishes >> i; i++)
        if (r->wishes >> i & 1)
            stop_wishing(&k->server[i], r);
    r->wishes = 0;
    r->flies = false;
    if (!list)
        return;
    if (r->line.prev)
        r->line.prev->line.next = r->line.next;
    else
        list->first = r->line.next;
    if (r->line.next)
        r->line.next->line.prev = r->line.prev;
    else
        list->last = r->line.prev;
    r->in = NULL;
    list->n--;
}

static void be_born(struct milgi__keyless *k, struct milgi__keyless_request *r)
{
    struct milgi__keyless_list *all = &k->all;
    r->all.next = NULL;
    r->all.prev = all->last;
    if (all->last)
        all->last->all.next = r;
    else
        all->first = r;
    all->last = r;
    put(&k->waiting, r, false);
    k->credit += k->options.hedge_percent;
    if (k->credit > CREDIT_MAX)
        k->credit = CREDIT_MAX;
}

/* Nobody waits for it: what is in flight comes back in vain. */
static void forget(struct milgi__keyless *k, struct milgi__keyless_request *r)
{
    take_out(k, r);
    if (r->all.prev)
        r->all.prev->all.next = r->all.next;
    else
        k->all.first = r->all.next;
    if (r->all.next)
        r->all.next->all.prev = r->all.prev;
    else
        k->all.last = r->all.prev;
    for (unsigned i = 0; i < k->servers_n; i++)
        if (r->place[i] >= 0)
            milgi__keyless_server_forget(&k->server[i], r->place[i]);
    milgi__keyless_key_unref(r->key);
    free(r);
}

static void fail(struct milgi__keyless *k, struct milgi__keyless_request *r, int code)
{
    milgi__keyless_give(k, r, code, NULL, NULL);
    forget(k, r);
}

static bool is_in_flight(const struct milgi__keyless *k, const struct milgi__keyless_request *r)
{
    for (unsigned i = 0; i < k->servers_n; i++)
        if (r->place[i] >= 0)
            return true;
    return false;
}

/* --- which server ------------------------------------------------------------------------------------------------- */

uint64_t milgi__keyless_patience(const struct milgi__keyless *k, unsigned kind)
{
    uint64_t high = k->times[kind].high_ns;
    if (!high)
        high = PATIENCE_NS;
    if (high < PATIENCE_LEAST_NS)
        high = PATIENCE_LEAST_NS;
    return high < k->options.timeout_ns / 4 ? high : k->options.timeout_ns / 4;
}

static bool may_ask(const struct milgi__keyless_server *server, const struct milgi__keyless_request *r)
{
    return r->place[server->index] < 0 && !(r->refused >> server->index & 1);
}

/*
 * That from which an answer comes first, as it seems; one that has not answered (yet) only if there is no other. NULL
 * too when there is another, which takes no more for a moment.
 */
static struct milgi__keyless_server *choose(
    struct milgi__keyless *k, const struct milgi__keyless_request *r, bool well_only)
{
    struct milgi__keyless_server *best = NULL;
    uint64_t best_ns = 0;
    bool best_well = false, hope = false;
    for (unsigned i = 0; i < k->servers_n; i++) {
        struct milgi__keyless_server *server = &k->server[(i + r->born_ns) % k->servers_n];
        bool well = milgi__keyless_server_well(server);
        hope |= well && server->state == MILGI__KEYLESS_UP && may_ask(server, r);
        if (!milgi__keyless_server_ready(server) || !may_ask(server, r) || (!well && well_only))
            continue;
        uint64_t ns = ((server->mean_ns ? server->mean_ns : server->round_ns) + 1) * (server->in_flight + 1);
        if (!best || (well && !best_well) || (well == best_well && ns < best_ns)) {
            best = server;
            best_well = well;
            best_ns = ns;
        }
    }
    return best_well || !hope ? best : NULL;
}

/* 0: a server may be there in time; else why not. */
static int despair(const struct milgi__keyless *k, const struct milgi__keyless_request *r, uint64_t now_ns)
{
    for (unsigned i = 0; i < k->servers_n; i++) {
        const struct milgi__keyless_server *server = &k->server[i];
        if (!(r->refused >> i & 1) && !milgi__keyless_server_hopeless(server, now_ns))
            return 0;
    }
    return r->code ? r->code : MILGI_CODE_KEYLESS_NO_SERVER;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void go_on(struct milgi__keyless *k, struct milgi__keyless_request *r);

static bool send_to(struct milgi__keyless *k, struct milgi__keyless_server *server,
    struct milgi__keyless_request *r, uint64_t now_ns)
{
    if (!milgi__keyless_server_send(server, r, now_ns))
        return false;
    r->sends++;
    r->sent_ns = now_ns;
    take_out(k, r);
    if (server->ill) /* for want of another, which is asked as soon as it is there */
        go_on(k, r);
    else if (!r->hedged)
        put(&k->young[r->kind], r, false);
    pthread_mutex_lock(&k->lock);
    k->stats.sent++;
    pthread_mutex_unlock(&k->lock);
    return true;
}

/* Those whose ops were cancelled go when half of all that wait may be such: so each is passed over once or twice. */
static void drop_cancelled(struct milgi__keyless *k)
{
    struct milgi__keyless_request *next;
    pthread_mutex_lock(&k->lock);
    bool many = k->cancelled && 2 * k->cancelled >= k->waiting.n;
    if (many)
        k->cancelled = 0;
    pthread_mutex_unlock(&k->lock);
    for (struct milgi__keyless_request *r = many ? k->waiting.first : NULL; r; r = next) {
        next = r->line.next;
        if (!r->begun && !milgi__keyless_wanted(k, r))
            forget(k, r);
    }
}

static void take_came(struct milgi__keyless *k)
{
    pthread_mutex_lock(&k->lock);
    struct milgi__keyless_request *r = k->came.first, *next;
    k->came = (struct milgi__keyless_list){ 0 };
    uint32_t liars = k->liars;
    k->liars = 0;
    pthread_mutex_unlock(&k->lock);
    for (; liars; liars &= liars - 1)
        milgi__keyless_server_lied(&k->server[__builtin_ctz(liars)], milgi__keyless_now());
    for (; r; r = next) {
        next = r->line.next;
        be_born(k, r);
    }
    drop_cancelled(k);
}

static bool any_ready(const struct milgi__keyless *k)
{
    for (unsigned i = 0; i < k->servers_n; i++)
        if (milgi__keyless_server_ready(&k->server[i]))
            return true;
    return false;
}

static bool all_hopeless(const struct milgi__keyless *k, uint64_t now_ns)
{
    for (unsigned i = 0; i < k->servers_n; i++)
        if (!milgi__keyless_server_hopeless(&k->server[i], now_ns))
            return false;
    return true;
}

/* False: it waits on, for a server that takes no more now. */
static bool send_one(struct milgi__keyless *k, struct milgi__keyless_request *r, uint64_t now_ns)
{
    struct milgi__keyless_server *server = choose(k, r, r->flies);
    if (!server)
        return false;
    if (!milgi__keyless_begin(k, r))
        forget(k, r);
    else
        (void)send_to(k, server, r, now_ns); /* or it is not ready any more */
    return true;
}

/* Those who may ask only this server, or few. */
static void send_wished(struct milgi__keyless *k, struct milgi__keyless_server *server, uint64_t now_ns)
{
    while (server->wished[0].first && milgi__keyless_server_ready(server) &&
        send_one(k, server->wished[0].first, now_ns)) {
    }
    while (server->wished[1].first && milgi__keyless_server_ready(server) && milgi__keyless_server_well(server) &&
        send_one(k, server->wished[1].first, now_ns)) {
    }
}

/* One that has just become hopeless may have been the last hope of some. */
static void give_up(struct milgi__keyless *k, struct milgi__keyless_server *server, uint64_t now_ns)
{
    bool hopeless = milgi__keyless_server_hopeless(server, now_ns), news = hopeless && !server->given_up;
    struct milgi__keyless_request *next;
    server->given_up = hopeless;
    for (struct milgi__keyless_request *r = news ? server->wished[0].first : NULL; r; r = next) {
        int code = despair(k, r, now_ns);
        next = r->wish[server->index].next;
        if (code)
            fail(k, r, code);
    }
}

static void send_waiting(struct milgi__keyless *k, uint64_t now_ns)
{
    bool hopeless = all_hopeless(k, now_ns);
    for (unsigned i = 0; i < k->servers_n; i++)
        give_up(k, &k->server[i], now_ns);
    for (unsigned i = 0; i < k->servers_n; i++)
        send_wished(k, &k->server[i], now_ns);
    while (k->waiting.first && (hopeless || any_ready(k))) {
        if (hopeless)
            fail(k, k->waiting.first, despair(k, k->waiting.first, now_ns));
        else if (!send_one(k, k->waiting.first, now_ns))
            break; /* those behind it may ask the same servers */
    }
}

/* The first answer takes long: asks somebody else, too, if there is anybody and it does not happen too often. */
static void hedge(struct milgi__keyless *k, struct milgi__keyless_request *r, uint64_t now_ns)
{
    struct milgi__keyless_server *server = k->credit >= 100 ? choose(k, r, true) : NULL;
    take_out(k, r);
    r->hedged = true;
    if (!milgi__keyless_begin(k, r)) {
        forget(k, r);
        return;
    }
    if (!server || !send_to(k, server, r, now_ns))
        return;
    k->credit -= 100;
    pthread_mutex_lock(&k->lock);
    k->stats.hedged++;
    pthread_mutex_unlock(&k->lock);
}

uint64_t milgi__keyless_look(struct milgi__keyless *k, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;
    while (k->all.first && k->all.first->born_ns + k->options.timeout_ns <= now_ns) {
        struct milgi__keyless_request *r = k->all.first;
        fail(k, r, r->sends ? MILGI_CODE_KEYLESS_TIMEOUT : r->code ? r->code
                                                                   : MILGI_CODE_KEYLESS_NO_SERVER);
    }
    if (k->all.first)
        next_ns = k->all.first->born_ns + k->options.timeout_ns;
    for (unsigned kind = 0; kind < MILGI__KEYLESS_KINDS; kind++) {
        uint64_t patience = milgi__keyless_patience(k, kind);
        struct milgi__keyless_request *r;
        while ((r = k->young[kind].first) && r->sent_ns + patience <= now_ns)
            hedge(k, r, now_ns);
        if (r && r->sent_ns + patience < next_ns)
            next_ns = r->sent_ns + patience;
    }
    return next_ns;
}

static void set_timer(struct milgi__keyless *k, uint64_t now_ns, uint64_t due_ns)
{
    if (due_ns == k->timer_ns)
        return;
    k->timer_ns = due_ns;
    uv_timer_stop(&k->timer);
    if (due_ns == UINT64_MAX)
        return;
    uint64_t left = due_ns > now_ns ? due_ns - now_ns : 1;
    uv_update_time(&k->loop);
    uv_timer_start(&k->timer, k->on_timer, left / MS_NS + 1, 0);
}

void milgi__keyless_pump(struct milgi__keyless *k)
{
    uint64_t now_ns, due_ns;
    if (k->pumping) { /* it has come back here through what it called */
        k->again = true;
        return;
    }
    k->pumping = true;
    do {
        k->again = false;
        now_ns = milgi__keyless_now();
        take_came(k);
        due_ns = UINT64_MAX;
        for (unsigned i = 0; i < k->servers_n; i++) {
            uint64_t server_ns = milgi__keyless_server_look(&k->server[i], now_ns);
            due_ns = server_ns < due_ns ? server_ns : due_ns;
        }
        send_waiting(k, now_ns);
        uint64_t request_ns = milgi__keyless_look(k, now_ns);
        due_ns = request_ns < due_ns ? request_ns : due_ns;
    } while (k->again);
    k->pumping = false;
    set_timer(k, now_ns, due_ns);
}

/* --- what comes of it --------------------------------------------------------------------------------------------- */

/* Whether an answer may be expected, since it is in flight at a server that says something. */
static bool is_heard_of(const struct milgi__keyless *k, const struct milgi__keyless_request *r)
{
    for (unsigned i = 0; i < k->servers_n; i++)
        if (r->place[i] >= 0 && !k->server[i].ill)
            return true;
    return false;
}

/* It is not in flight there any more, or nothing is heard from there; without an answer that counts. */
static void go_on(struct milgi__keyless *k, struct milgi__keyless_request *r)
{
    if (is_heard_of(k, r))
        return;
    take_out(k, r);
    r->flies = is_in_flight(k, r);
    if (!r->refused && !r->flies) {
        put(&k->waiting, r, true);
        return;
    }
    int code = r->flies ? 0 : despair(k, r, milgi__keyless_now());
    if (code) {
        fail(k, r, code);
        return;
    }
    for (unsigned i = 0; i < k->servers_n; i++)
        if (may_ask(&k->server[i], r))
            wish_for(&k->server[i], r);
}

/* As far as its length tells: whether it is one the engine finds out. */
static bool may_be_signature(const struct milgi__keyless_key *key, const struct milgi__keyless_message *message)
{
    if (!message->payload_len || message->payload_len > MILGI_SIGNATURE_MAX)
        return false;
    return !key->sig_len || message->payload_len == key->sig_len;
}

void milgi__keyless_answered(struct milgi__keyless *k, struct milgi__keyless_request *request,
    struct milgi__keyless_server *server, const struct milgi__keyless_message *message, uint64_t sent_ns)
{
    uint64_t took_ns = milgi__keyless_now() - sent_ns;
    request->place[server->index] = -1;
    if (message->opcode == MILGI__KEYLESS_RESPONSE && may_be_signature(request->key, message)) {
        milgi__keyless_took(&k->times[request->kind], took_ns);
        server->mean_ns = server->mean_ns ? (7 * server->mean_ns + took_ns) / 8 : took_ns;
        milgi__keyless_give(k, request, 0, server, message);
        forget(k, request);
        return;
    }
    /* Errors are quick: whoever has nothing else is asked last. */
    server->mean_ns = 2 * server->mean_ns + MS_NS < PENALTY_MOST_NS ? 2 * server->mean_ns + MS_NS : PENALTY_MOST_NS;
    bool error = message->opcode == MILGI__KEYLESS_ERROR && message->payload_len == 1;
    int number = error && message->payload[0] <= MILGI__KEYLESS_E_REMOTE ? message->payload[0] : 0;
    request->code = error ? MILGI_CODE_KEYLESS_ERROR + number : MILGI_CODE_KEYLESS_ANSWER;
    request->refused |= (uint16_t)(1u << server->index);
    go_on(k, request);
}

void milgi__keyless_lost(
    struct milgi__keyless *k, struct milgi__keyless_request *request, struct milgi__keyless_server *server)
{
    request->place[server->index] = -1;
    request->code = MILGI_CODE_KEYLESS_GONE;
    if (request->sends >= SENDS_MAX)
        request->refused |= (uint16_t)(1u << server->index);
    pthread_mutex_lock(&k->lock);
    k->stats.moved++;
    pthread_mutex_unlock(&k->lock);
    go_on(k, request);
}

void milgi__keyless_unheard(struct milgi__keyless *k, struct milgi__keyless_request *request)
{
    if (request->flies || is_heard_of(k, request))
        return;
    go_on(k, request);
    pthread_mutex_lock(&k->lock);
    k->stats.moved++;
    pthread_mutex_unlock(&k->lock);
}

void milgi__keyless_fail_all(struct milgi__keyless *k, int code)
{
    take_came(k);
    while (k->all.first)
        fail(k, k->all.first, code);
}
