/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to each server: how it comes to be, what is in flight on it, whether it is alive, how it ends. */
#include "keyless.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define MS_NS UINT64_C(1000000)
#define LIAR_NS (60000 * MS_NS)       /* who has given a wrong signature is left alone */
#define AGAIN_NS (50 * MS_NS)         /* before the second try to connect; then twice as long each time, */
#define AGAIN_MOST_NS (1000 * MS_NS)  /* up to this, */
#define AGAIN_LONELY_NS (200 * MS_NS) /* or this, while no other server is there */
#define QUIET_LEAST_NS (10 * MS_NS)   /* how long a pong may take at least */
#define QUIET_FIRST_NS (1000 * MS_NS) /* while it is not known how long that takes */
#define ILL_TIMES 4u                  /* of the time for a request: then an ill connection is given up */
#define PLACE_BITS 9u
#define PING_ID UINT32_MAX /* no place's: their turns end before */
_Static_assert(MILGI__KEYLESS_WINDOW == 1u << PLACE_BITS, "a place is a part of an ID");

/* --- what is in flight -------------------------------------------------------------------------------------------- */

static void free_place(struct milgi__keyless_server *s, int place)
{
    s->flight[place].next = s->spare;
    s->flight[place].prev = -1;
    s->spare = (int16_t)place;
}

void milgi__keyless_server_init(struct milgi__keyless_server *s)
{
    s->first = s->last = s->spare = -1;
    for (int i = MILGI__KEYLESS_WINDOW - 1; i >= 0; i--)
        free_place(s, i);
    s->since_ns = milgi__keyless_now();
}

static int take_place(struct milgi__keyless_server *s, struct milgi__keyless_request *r, uint64_t now_ns)
{
    int place = s->spare;
    struct milgi__keyless_flight *f = &s->flight[place];
    s->spare = f->next;
    *f = (struct milgi__keyless_flight){
        .request = r, .sent_ns = now_ns, .turn = (f->turn + 1) & 0x3fffff, .next = -1, .prev = s->last
    };
    if (s->last >= 0)
        s->flight[s->last].next = (int16_t)place;
    else
        s->first = (int16_t)place;
    s->last = (int16_t)place;
    s->in_flight++;
    return place;
}

static void leave_place(struct milgi__keyless_server *s, int place)
{
    struct milgi__keyless_flight *f = &s->flight[place];
    if (f->prev >= 0)
        s->flight[f->prev].next = f->next;
    else
        s->first = f->next;
    if (f->next >= 0)
        s->flight[f->next].prev = f->prev;
    else
        s->last = f->prev;
    s->in_flight--;
    f->request = NULL;
    free_place(s, place);
}

void milgi__keyless_server_forget(struct milgi__keyless_server *s, int place)
{
    s->flight[place].request = NULL;
}

/* --- health ------------------------------------------------------------------------------------------------------- */

/* Who frees the device is told nothing more. */
static bool is_ending(struct milgi__keyless *k)
{
    pthread_mutex_lock(&k->lock);
    bool ending = k->stopping;
    pthread_mutex_unlock(&k->lock);
    return ending;
}

static void set_code(struct milgi__keyless_server *s, int code)
{
    struct milgi_device *device = &s->k->device;
    s->code = code;
    if (s->told == code)
        return;
    s->told = code;
    if (device->on_part && !is_ending(s->k))
        device->on_part(device->part_ctx, device, s->shown, code);
}

static void count_up(struct milgi__keyless *k)
{
    unsigned up = 0;
    for (unsigned i = 0; i < k->servers_n; i++)
        up += k->server[i].state == MILGI__KEYLESS_UP && milgi__keyless_server_well(&k->server[i]);
    pthread_mutex_lock(&k->lock);
    k->stats.up = up;
    pthread_mutex_unlock(&k->lock);
}

bool milgi__keyless_server_well(const struct milgi__keyless_server *s)
{
    return s->spoke && !s->ill && !s->lies;
}

bool milgi__keyless_server_ready(const struct milgi__keyless_server *s)
{
    return s->state == MILGI__KEYLESS_UP && !s->blocked && s->spare >= 0;
}

bool milgi__keyless_server_hopeless(const struct milgi__keyless_server *s, uint64_t now_ns)
{
    return s->state != MILGI__KEYLESS_UP && now_ns >= s->since_ns + s->k->options.timeout_ns;
}

static void get_ill(struct milgi__keyless_server *s, uint64_t now_ns)
{
    s->ill = true;
    s->ill_ns = now_ns;
    set_code(s, MILGI_CODE_KEYLESS_HANGS);
    count_up(s->k);
    for (int i = s->first; i >= 0; i = s->flight[i].next)
        if (s->flight[i].request)
            milgi__keyless_unheard(s->k, s->flight[i].request);
}

static void heard(struct milgi__keyless_server *s, uint64_t now_ns)
{
    s->heard_ns = now_ns;
    if (s->unsent)
        s->pinged = s->unsent = false;
    if (s->spoke && !s->ill)
        return;
    s->spoke = true;
    s->ill = false;
    s->failures = 0;
    set_code(s, s->lies ? MILGI_CODE_KEYLESS_LIES : 0);
    count_up(s->k);
}

void milgi__keyless_server_lied(struct milgi__keyless_server *s, uint64_t now_ns)
{
    s->lies = true;
    s->believed_ns = now_ns + LIAR_NS;
    if (s->state == MILGI__KEYLESS_UP && s->spoke && !s->ill)
        set_code(s, MILGI_CODE_KEYLESS_LIES);
    count_up(s->k);
}

/* It is asked as the others are again. */
static void believe(struct milgi__keyless_server *s)
{
    s->lies = false;
    if (s->told == MILGI_CODE_KEYLESS_LIES)
        set_code(s, 0);
    count_up(s->k);
}

/* --- the end of a connection -------------------------------------------------------------------------------------- */

static uint64_t jitter(struct milgi__keyless *k, uint64_t ns)
{
    k->random ^= k->random << 13;
    k->random ^= k->random >> 7;
    k->random ^= k->random << 17;
    return ns - ns / 4 + k->random % (ns / 2 + 1);
}

/* The others are wanted now, if the last that was there is |lost|. True: there is none. */
static bool call_the_others(struct milgi__keyless *k, bool lost, uint64_t now_ns)
{
    for (unsigned i = 0; i < k->servers_n; i++)
        if (k->server[i].state == MILGI__KEYLESS_UP)
            return false;
    for (unsigned i = 0; lost && i < k->servers_n; i++)
        if (k->server[i].retry_ns > now_ns + AGAIN_NS)
            k->server[i].retry_ns = now_ns + jitter(k, AGAIN_NS);
    return true;
}

/* It is tried again after a while; the stream is gone or going. */
static void down(struct milgi__keyless_server *s, int code)
{
    uint64_t now_ns = milgi__keyless_now(), again = AGAIN_NS << (s->failures < 8 ? s->failures : 8);
    bool was_up = s->state == MILGI__KEYLESS_UP;
    s->state = MILGI__KEYLESS_DOWN;
    s->stream = NULL;
    s->ill = s->blocked = s->pinged = false;
    s->rx_len = 0;
    s->round_ns = s->mean_ns = 0;
    if (was_up && s->spoke)
        s->since_ns = now_ns;
    s->unsent = false;
    s->failures++;
    uint64_t most = call_the_others(s->k, was_up && s->spoke, now_ns) ? AGAIN_LONELY_NS : AGAIN_MOST_NS;
    s->retry_ns = now_ns + jitter(s->k, again < most ? again : most);
    set_code(s, code);
    if (was_up)
        count_up(s->k);
    while (s->first >= 0) {
        struct milgi__keyless_request *r = s->flight[s->first].request;
        leave_place(s, s->first);
        if (r)
            milgi__keyless_lost(s->k, r, s);
    }
}

static void drop(struct milgi__keyless_server *s, int code)
{
    struct milgi_stream *stream = s->stream;
    down(s, code);
    milgi_stream_drop(stream);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static bool write_message(struct milgi__keyless_server *s, const struct milgi__keyless_message *message)
{
    size_t len = milgi__keyless_write(message, s->k->out);
    int rv = milgi_stream_write(s->stream, s->k->out, len);
    if (rv)
        s->blocked = true;
    return rv == 0 || rv == MILGI_PAUSE;
}

bool milgi__keyless_server_send(
    struct milgi__keyless_server *s, struct milgi__keyless_request *r, uint64_t now_ns)
{
    int place = s->spare;
    uint32_t turn = (s->flight[place].turn + 1) & 0x3fffff;
    struct milgi__keyless_message message = {
        .id = turn << PLACE_BITS | (uint32_t)place,
        .opcode = r->opcode,
        .has_ski = true,
        .payload = r->payload,
        .payload_len = r->payload_len,
        .sni = (const uint8_t *)r->key->sni,
        .sni_len = r->key->sni_len,
    };
    memcpy(message.ski, r->key->ski, sizeof message.ski);
    if (!write_message(s, &message))
        return false;
    r->place[s->index] = (int16_t)take_place(s, r, now_ns);
    return true;
}

static void ping(struct milgi__keyless_server *s, uint64_t now_ns)
{
    const struct milgi__keyless_message message = { .id = PING_ID, .opcode = MILGI__KEYLESS_PING };
    /* One that takes no more bytes is to say something all the same. */
    s->unsent = s->blocked || !write_message(s, &message);
    s->pinged = true;
    s->pinged_ns = now_ns;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How long a pong may take. */
static uint64_t quiet_ns(const struct milgi__keyless_server *s)
{
    uint64_t ns = s->round_ns ? 4 * s->round_ns : QUIET_FIRST_NS;
    return ns > QUIET_LEAST_NS ? ns : QUIET_LEAST_NS;
}

static void count_late(struct milgi__keyless *k)
{
    pthread_mutex_lock(&k->lock);
    k->stats.late++;
    pthread_mutex_unlock(&k->lock);
}

static void take_message(struct milgi__keyless_server *s, const struct milgi__keyless_message *message)
{
    uint64_t now_ns = milgi__keyless_now();
    unsigned place = message->id & (MILGI__KEYLESS_WINDOW - 1);
    struct milgi__keyless_flight *f = &s->flight[place];
    heard(s, now_ns);
    if (message->id == PING_ID) {
        if (s->pinged)
            s->round_ns = least(now_ns - s->pinged_ns, quiet_ns(s)); /* for how long it hung says nothing */
        s->pinged = false;
        s->mean_ns -= s->mean_ns / 4; /* what was slow long ago may be fast now */
        return;
    }
    bool used = message->id >> PLACE_BITS == f->turn && (f->prev >= 0 || s->first == (int16_t)place);
    struct milgi__keyless_request *r = used ? f->request : NULL;
    uint64_t sent_ns = f->sent_ns;
    if (used)
        leave_place(s, (int)place);
    if (r)
        milgi__keyless_answered(s->k, r, s, message, sent_ns);
    else
        count_late(s->k);
}

/* False: what comes is no messages. */
static bool take_messages(struct milgi__keyless_server *s)
{
    size_t at = 0, whole;
    int rv;
    struct milgi__keyless_message message;
    while ((rv = milgi__keyless_parse(s->rx + at, s->rx_len - at, &message, &whole)) > 0) {
        take_message(s, &message);
        at += (size_t)rv;
    }
    s->rx_len -= at;
    memmove(s->rx, s->rx + at, s->rx_len);
    return rv == 0;
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct milgi__keyless_server *s = arg;
    if (stream != s->stream)
        return;
    for (size_t i = 0; i < n; i++) {
        size_t done = 0;
        while (done < slices[i].len) {
            size_t room = MILGI__KEYLESS_MAX - s->rx_len, part = slices[i].len - done;
            part = part < room ? part : room;
            memcpy(s->rx + s->rx_len, slices[i].data + done, part);
            s->rx_len += part;
            done += part;
            if (!take_messages(s)) {
                drop(s, MILGI_CODE_KEYLESS_ANSWER);
                milgi__keyless_pump(s->k);
                return;
            }
        }
        milgi_stream_consumed(stream, slices[i].len);
    }
    milgi__keyless_pump(s->k);
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct milgi__keyless_server *s = arg;
    if (stream != s->stream)
        return;
    s->state = MILGI__KEYLESS_UP;
    s->spoke = false; /* in TLS 1.3 it may not even have seen this client's certificate */
    s->heard_ns = milgi__keyless_now();
    pthread_mutex_lock(&s->k->lock);
    s->k->stats.connected++;
    pthread_mutex_unlock(&s->k->lock);
    ping(s, s->heard_ns);
    milgi__keyless_pump(s->k);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    struct milgi__keyless_server *s = arg;
    if (stream != s->stream)
        return;
    s->blocked = false;
    milgi__keyless_pump(s->k);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    struct milgi__keyless_server *s = arg;
    if (stream != s->stream)
        return;
    down(s, MILGI_CODE_KEYLESS_GONE);
    milgi_stream_close(stream);
    milgi__keyless_pump(s->k);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct milgi__keyless_server *s = arg;
    if (stream != s->stream)
        return;
    bool up = s->state == MILGI__KEYLESS_UP;
    if (reason->error == MILGI_ETRANSPORT)
        down(s, up ? MILGI_CODE_KEYLESS_GONE : MILGI_CODE_KEYLESS_CONNECT);
    else
        down(s, up && s->spoke ? MILGI_CODE_KEYLESS_GONE : MILGI_CODE_KEYLESS_TLS);
    milgi__keyless_pump(s->k);
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
};

/* --- connecting --------------------------------------------------------------------------------------------------- */

static void connect_to(struct milgi__keyless_server *s, const struct sockaddr *address)
{
    struct milgi__keyless *k = s->k;
    s->state = MILGI__KEYLESS_CONNECTING;
    if (milgi_uv_connect(k->uv, address, k->options.config, s->name, &events, s, &s->stream))
        down(s, MILGI_CODE_KEYLESS_CONNECT);
}

/* One that did not answer is not asked again and again. */
static const struct addrinfo *one_of(const struct addrinfo *found, unsigned which)
{
    const struct addrinfo *one = found;
    for (; which; which--)
        one = one->ai_next ? one->ai_next : found;
    return one;
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct milgi__keyless_server *s = req->data;
    s->resolver_busy = false;
    if (s->state == MILGI__KEYLESS_RESOLVING && (status || !found))
        down(s, MILGI_CODE_KEYLESS_NAME);
    else if (s->state == MILGI__KEYLESS_RESOLVING)
        connect_to(s, one_of(found, s->failures)->ai_addr);
    uv_freeaddrinfo(found);
    if (!s->k->stopping_now)
        milgi__keyless_pump(s->k);
}

static void begin(struct milgi__keyless_server *s, uint64_t now_ns)
{
    static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int port = atoi(s->port);
    s->begun_ns = now_ns;
    if (!uv_ip4_addr(s->host, port, &v4)) {
        connect_to(s, (const struct sockaddr *)&v4);
        return;
    }
    if (!uv_ip6_addr(s->host, port, &v6)) {
        connect_to(s, (const struct sockaddr *)&v6);
        return;
    }
    s->state = MILGI__KEYLESS_RESOLVING;
    if (s->resolver_busy) /* with the try before */
        return;
    s->resolving.data = s;
    s->resolver_busy = !uv_getaddrinfo(&s->k->loop, &s->resolving, on_resolved, s->host, s->port, &hints);
    if (!s->resolver_busy)
        down(s, MILGI_CODE_KEYLESS_NAME);
}

/* --- what is to be done when -------------------------------------------------------------------------------------- */

/* Whether it lives: asked when an answer takes long and nothing else has come, or when it has been silent for long. */
static uint64_t look_at_life(struct milgi__keyless_server *s, uint64_t now_ns)
{
    const struct milgi__keyless *k = s->k;
    uint64_t due = s->heard_ns + k->options.ping_ns;
    if (s->ill) {
        due = s->ill_ns + ILL_TIMES * k->options.timeout_ns;
        if (now_ns >= due)
            drop(s, MILGI_CODE_KEYLESS_HANGS);
        return s->state == MILGI__KEYLESS_UP ? due : s->retry_ns;
    }
    if (s->pinged) {
        due = (s->heard_ns > s->pinged_ns ? s->heard_ns : s->pinged_ns) + quiet_ns(s);
        if (now_ns >= due)
            get_ill(s, now_ns);
        return s->ill ? s->ill_ns + ILL_TIMES * k->options.timeout_ns : due;
    }
    if (s->first >= 0) {
        const struct milgi__keyless_flight *f = &s->flight[s->first];
        uint64_t from = f->sent_ns > s->heard_ns ? f->sent_ns : s->heard_ns;
        due = least(due, from + milgi__keyless_patience(k, f->request ? f->request->kind : 0));
    }
    if (now_ns < due)
        return due;
    ping(s, now_ns);
    return now_ns + quiet_ns(s);
}

static uint64_t look_at_connection(struct milgi__keyless_server *s, uint64_t now_ns)
{
    if (s->state == MILGI__KEYLESS_DOWN && now_ns >= s->retry_ns)
        begin(s, now_ns);
    if (s->state == MILGI__KEYLESS_DOWN)
        return s->retry_ns;
    if (s->state == MILGI__KEYLESS_UP)
        return look_at_life(s, now_ns);
    uint64_t due = s->begun_ns + s->k->options.timeout_ns;
    if (now_ns < due)
        return due;
    if (s->stream)
        drop(s, MILGI_CODE_KEYLESS_CONNECT);
    else
        down(s, MILGI_CODE_KEYLESS_NAME);
    return s->retry_ns;
}

uint64_t milgi__keyless_server_look(struct milgi__keyless_server *s, uint64_t now_ns)
{
    if (s->lies && now_ns >= s->believed_ns)
        believe(s);
    uint64_t due = look_at_connection(s, now_ns);
    return s->lies ? least(due, s->believed_ns) : due;
}

void milgi__keyless_server_stop(struct milgi__keyless_server *s)
{
    if (s->resolver_busy)
        (void)uv_cancel((uv_req_t *)&s->resolving); /* one that is under way ends when it ends */
    s->state = MILGI__KEYLESS_DOWN;
    s->retry_ns = UINT64_MAX;
    if (s->stream)
        milgi_stream_drop(s->stream);
    s->stream = NULL;
}
