/* SPDX-License-Identifier: Apache-2.0 */
#include "links.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conn/state.h"
#include "device/sim/manual.h"

#define TURN_NS 5000 /* a turn takes time, or who polls would poll for ever */

struct links links;
bool (*links_wanted)(const void *p, size_t len);
void (*links_made)(struct milgi_device *device);

/* --- where bytes are -------------------------------------------------------------------------------------------- */

static void trail_add(struct trail *t, const void *p, size_t len)
{
    if (t->n == t->cap && t->first > 0) {
        memmove(t->span, t->span + t->first, (t->n - t->first) * sizeof *t->span);
        t->n -= t->first;
        t->first = 0;
    }
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->span = realloc(t->span, t->cap * sizeof *t->span);
        assert_non_null(t->span);
    }
    t->span[t->n++] = (struct span){ p, len };
    t->len += len;
}

/* Whether the next |len| bytes are those at |p| (NULL: wherever they are); they are gone then. */
static bool trail_follow(struct trail *t, const uint8_t *p, size_t len)
{
    bool right = len <= t->len;
    while (len > 0 && t->first < t->n) {
        struct span *s = &t->span[t->first];
        size_t part = MILGI__MIN(s->len, len);
        right = right && (!p || s->p == p);
        p = p ? p + part : NULL;
        s->p += part;
        s->len -= part;
        t->len -= part;
        len -= part;
        t->first += s->len == 0;
    }
    return right;
}

static void trail_clear(struct trail *t)
{
    t->first = t->n = t->len = 0;
}

/* --- what is right ---------------------------------------------------------------------------------------------- */

bool links_reach(const struct side *side, const void *p, size_t len)
{
    if (!side->device || !(side->device->caps.flags & MILGI_CAP_OWN_MEMORY))
        return !links_wanted || links_wanted(p, len);
    return milgi__sim_reaches(side->device, p, len);
}

static void follow(struct end *end, struct trail *t, const uint8_t *p, size_t len)
{
    if (!trail_follow(t, p, len))
        links.strayed += len;
    if (p && !links_reach(end->side, p, len))
        links.out_of_reach += len;
}

/* --- ops as they are submitted, in order ------------------------------------------------------------------------ */

static void see_seal(struct end *end, const struct milgi_op_aead *a)
{
    for (unsigned i = 0; i < a->src_n; i++)
        follow(end, &end->given, a->src[i].data, a->src[i].len);
    trail_add(&end->sealed, a->dst - MILGI__RECORD_HEADER, MILGI__RECORD_HEADER + a->dst_len);
}

static void see_open(struct end *end, const struct milgi_op_aead *a)
{
    uint32_t len = 0;
    for (unsigned i = 0; i < a->src_n; i++)
        len += a->src[i].len;
    follow(end, &end->received, NULL, MILGI__RECORD_HEADER);
    for (unsigned i = 0; i < a->src_n; i++) {
        follow(end, &end->received, a->src[i].data, a->src[i].len);
        if (a->in_place) /* but the last byte, which is the type */
            trail_add(&end->opened, a->src[i].data, a->src[i].len - (i + 1u == a->src_n));
    }
    follow(end, &end->received, NULL, MILGI__TAG);
    if (!a->in_place)
        trail_add(&end->opened, a->dst, len - 1);
}

void links_submitted(const struct milgi__owner *owner, const struct milgi_op *op)
{
    for (unsigned i = 0; i < links.ends_n; i++) {
        struct end *end = &links.end[i];
        if (!end->tracked || &end->conn->owner != owner)
            continue;
        if (op->type == MILGI_OP_SEAL)
            see_seal(end, &op->u.aead);
        else if (op->type == MILGI_OP_OPEN)
            see_open(end, &op->u.aead);
    }
}

/* --- the application -------------------------------------------------------------------------------------------- */

/* The eight bytes at |at| of every stream. */
static uint64_t content(size_t at)
{
    return (at / 8 + 1) * 0x9e3779b97f4a7c15u;
}

static void fill(uint8_t *p, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = content(at + i);
        memcpy(p + i, &word, MILGI__MIN(len - i, sizeof word));
    }
}

static bool is_content(const uint8_t *p, size_t at, size_t len)
{
    for (; len > 0 && (at % 8 != 0 || len < 8); at++, p++, len--) {
        uint64_t word = content(at & ~(size_t)7);
        if (((const uint8_t *)&word)[at % 8] != *p)
            return false;
    }
    for (; len >= 8; at += 8, p += 8, len -= 8) {
        uint64_t is, word = content(at);
        memcpy(&is, p, sizeof is);
        if (is != word)
            return false;
    }
    return len == 0 || is_content(p, at, len);
}

static int send_one(struct end *end, size_t len)
{
    static uint8_t text[BLOCK];
    size_t size = links.sending == SEND_CRUMBS ? 5 * len : len;
    if (links.sending == SEND_WRITE) {
        fill(text, end->sent, len);
        trail_add(&end->given, text, len);
        return milgi_conn_write(end->conn, text, len);
    }
    struct milgi_chunk *chunk = milgi_chunk_new(end->side->engine, size);
    if (!chunk)
        return MILGI_ENOMEM;
    uint8_t *data = milgi_chunk_data(chunk);
    fill(data, end->sent, len);
    trail_add(&end->given, data, len);
    if (!links_reach(end->side, data, len))
        links.out_of_reach += len;
    return milgi_conn_send(end->conn, (struct milgi_slice){ chunk, data, (uint32_t)len });
}

/* True: something was sent. */
static bool send_some(struct end *end)
{
    bool any = false;
    while (end->sent < end->to_send && !end->full) {
        size_t len = MILGI__MIN(end->to_send - end->sent, links.sending == SEND_CRUMBS ? 8 * KIB : BLOCK);
        int rv = send_one(end, len);
        if (rv == MILGI_ENOMEM) {
            links.starved++;
            return any;
        }
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        end->sent += len;
        end->full = rv == MILGI_PAUSE;
        any = true;
    }
    return any;
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    struct end *end = arg;
    for (size_t i = 0; i < n; i++) {
        if (end->tracked)
            follow(end, &end->opened, slices[i].data, slices[i].len);
        if (!is_content(slices[i].data, end->got, slices[i].len))
            links.wrong += slices[i].len;
        end->got += slices[i].len;
        milgi_conn_consumed(conn, slices[i].len);
    }
}

/* --- the network ------------------------------------------------------------------------------------------------ */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    struct end *end = arg;
    (void)conn;
    for (size_t i = 0; i < n; i++) {
        trail_add(&end->network, iov[i].data, iov[i].len);
        if (end->tracked)
            follow(end, &end->sealed, iov[i].data, iov[i].len);
    }
}

/* What a card writes into a chunk: the next |len| bytes that |from| has sent. */
static void receive(struct end *from, struct milgi_chunk *chunk, size_t len)
{
    uint8_t *data = milgi_chunk_data(chunk);
    for (size_t at = 0, part; at < len; at += part) {
        const struct span *s = &from->network.span[from->network.first];
        part = MILGI__MIN(s->len, len - at);
        memcpy(data + at, s->p, part);
        trail_follow(&from->network, NULL, part);
    }
    milgi_conn_output_done(from->conn, len);
    struct end *to = from->peer;
    if (to->tracked)
        trail_add(&to->received, data, len);
    if (!links_reach(to->side, data, len))
        links.out_of_reach += len;
    int rv = milgi_conn_receive(to->conn, (struct milgi_slice){ chunk, data, (uint32_t)len });
    assert_true(rv == 0 || rv == MILGI_PAUSE);
    to->paused = rv == MILGI_PAUSE;
}

/* Full chunks, and only when nothing else moves one that is not. True: something was delivered. */
static bool deliver(struct end *from, bool rest)
{
    bool any = false;
    struct end *to = from->peer;
    while (!to->paused && from->network.len >= (rest ? 1 : links.packet)) {
        size_t len = MILGI__MIN(from->network.len, links.packet);
        if (len > 4 * KIB && len < 5 * KIB)
            len = 4 * KIB; /* below a quarter of the next larger chunk */
        struct milgi_chunk *chunk = milgi_conn_chunk(to->conn, links.crumbs_in ? BLOCK : len);
        links.starved += !chunk;
        if (!chunk)
            return any;
        receive(from, chunk, len);
        any = true;
    }
    return any;
}

/* --- its life --------------------------------------------------------------------------------------------------- */

static void on_resume(struct milgi_conn *conn, void *arg)
{
    (void)conn;
    ((struct end *)arg)->paused = false;
}

static void on_room(struct milgi_conn *conn, void *arg)
{
    (void)conn;
    ((struct end *)arg)->full = false;
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)conn;
    ((struct end *)arg)->closed = true;
    print_error("closed: %s\n", reason->detail);
}

static void on_memory(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    ((struct side *)ctx)->memory_calls++;
}

static const struct milgi_events events = {
    .on_output = on_output, .on_data = on_data, .on_resume = on_resume, .on_room = on_room, .on_closed = on_closed
};

static uint64_t clock_ns(void *ctx)
{
    (void)ctx;
    return links.now_ns;
}

static void begin_engine(struct side *side, struct milgi_device *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.short_path = false; /* where the bytes are is seen in ops */
    options.clock.monotonic_ns = clock_ns;
    options.on_memory = on_memory;
    options.memory_ctx = side;
    assert_int_equal(milgi_engine_new(&options, &side->engine), 0);
    side->device = device;
    if (!device)
        return;
    side->index = milgi_engine_add_device(side->engine, device);
    assert_true(side->index > 0);
    if (device->ops->chunk_alloc)
        assert_int_equal(milgi_engine_use_memory(side->engine, (unsigned)side->index), 0);
    assert_int_equal(milgi_engine_route(side->engine, UINT32_MAX, (unsigned)side->index, 1), 0);
}

struct milgi_device *links_device(const char *spec)
{
    struct milgi_device *device = NULL;
    const char *why = "";
    if (spec && milgi_device_new(spec, &device, &why) != 0)
        fail_msg("%s: %s", spec, why);
    if (device && links_made)
        links_made(device);
    return device;
}

/* |shared|: both engines have one device, and one memory. */
void links_begin(struct milgi_config *const config[2], const char *spec, bool shared, unsigned n)
{
    memset(&links, 0, sizeof links);
    links.now_ns = 1000000000;
    links.packet = BLOCK;
    begin_engine(&links.side[0], links_device(spec));
    begin_engine(&links.side[1], shared ? links.side[0].device : links_device(spec));
    links.ends_n = 2 * n;
    for (unsigned i = 0; i < links.ends_n; i++) {
        struct end *end = &links.end[i];
        enum milgi_role role = i % 2 ? MILGI_SERVER : MILGI_CLIENT;
        end->side = &links.side[role];
        end->peer = &links.end[i ^ 1];
        const char *name = role == MILGI_CLIENT ? "server.test" : NULL;
        assert_int_equal(milgi_conn_new(end->side->engine, config[role], name, &events, end, &end->conn), 0);
    }
}

void links_end(void)
{
    for (unsigned i = 0; i < links.ends_n; i++) {
        struct end *end = &links.end[i];
        milgi_conn_free(end->conn);
        free(end->network.span);
        free(end->received.span);
        free(end->opened.span);
        free(end->given.span);
        free(end->sealed.span);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(milgi_engine_free(links.side[i].engine), 0);
    if (links.side[0].device != links.side[1].device)
        milgi_device_free(links.side[1].device);
    milgi_device_free(links.side[0].device);
}

/* --- running ---------------------------------------------------------------------------------------------------- */

/* True: they want to run again at once. */
bool links_run(uint64_t *deadline_ns)
{
    bool again = false;
    *deadline_ns = UINT64_MAX;
    links.now_ns += TURN_NS;
    for (int i = 0; i < 2; i++) {
        struct milgi_run_result result;
        assert_int_equal(milgi_engine_run(links.side[i].engine, 0, &result), 0);
        again |= result.next == MILGI_RUN_AGAIN;
        if (result.next == MILGI_RUN_WAIT)
            *deadline_ns = MILGI__MIN(*deadline_ns, result.deadline_ns);
    }
    return again;
}

bool links_move(bool rest)
{
    bool any = false;
    for (unsigned i = 0; i < links.ends_n; i++) {
        if (links.end[i].closed)
            fail_msg("a connection was closed");
        any |= send_some(&links.end[i]);
        any |= deliver(&links.end[i], rest);
    }
    return any;
}

/* A host that sleeps until a thread has done something, or else until the engines' deadline. */
static void sleep_until(uint64_t deadline_ns)
{
    struct pollfd fds[2];
    for (int i = 0; i < 2; i++)
        fds[i] = (struct pollfd){ .fd = milgi_engine_fd(links.side[i].engine), .events = POLLIN };
    bool threads = links.side[0].device && strcmp(links.side[0].device->ops->name, "pool") == 0;
    if (threads && poll(fds, 2, 1000) > 0)
        return;
    assert_true(deadline_ns != UINT64_MAX); /* who sleeps for ever with something to do? */
    links.now_ns = MILGI__MAX(links.now_ns, deadline_ns);
}

static bool devices_work(void)
{
    struct milgi_engine_stats stats;
    uint32_t n = 0;
    for (int i = 0; i < 2; i++) {
        milgi_engine_stats(links.side[i].engine, &stats);
        n += stats.device[links.side[i].index].in_flight;
    }
    return n > 0;
}

void links_run_until(bool (*done)(void))
{
    uint64_t deadline_ns, moved_ns = links.now_ns;
    while (!done()) {
        bool any = links_run(&deadline_ns);
        any |= links_move(false);
        if (any || (!devices_work() && links_move(true))) {
            moved_ns = links.now_ns;
            continue;
        }
        sleep_until(deadline_ns);
        if (links.now_ns - moved_ns > 10 * UINT64_C(1000000000))
            fail_msg("nothing moves any more");
    }
}

static bool all_established(void)
{
    for (unsigned i = 0; i < links.ends_n; i++) {
        struct milgi_conn_info info;
        milgi_conn_info(links.end[i].conn, &info);
        if (!info.established || links.end[i].network.len || milgi_conn_output_pending(links.end[i].conn))
            return false;
    }
    return true;
}

bool links_all_got(void)
{
    for (unsigned i = 0; i < links.ends_n; i++) {
        if (links.end[i].got < links.end[i].peer->to_send || milgi_conn_output_pending(links.end[i].conn))
            return false;
    }
    return true;
}

uint64_t links_copied(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++) {
        struct milgi_engine_stats stats;
        milgi_engine_stats(links.side[i].engine, &stats);
        sum += stats.bytes_copied;
    }
    return sum;
}

/* Handshakes, and all that comes with them. */
void links_establish(void)
{
    uint64_t deadline_ns;
    links_run_until(all_established);
    links_run(&deadline_ns);
    for (unsigned i = 0; i < links.ends_n; i++) {
        struct end *end = &links.end[i];
        trail_clear(&end->received);
        end->tracked = true;
    }
}

/* |bytes| in each direction of each connection; returns how many were copied. */
uint64_t links_transfer(size_t bytes)
{
    links_establish();
    uint64_t before = links_copied();
    for (unsigned i = 0; i < links.ends_n; i++)
        links.end[i].to_send = bytes;
    links_run_until(links_all_got);
    assert_int_equal(links.wrong, 0);
    for (unsigned i = 0; i < links.ends_n; i++)
        assert_int_equal(links.end[i].got, bytes);
    return links_copied() - before;
}

void links_device_did_it(const struct side *side, size_t bytes)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(side->engine, &stats);
    const struct milgi_device_stats *d = &stats.device[side->index];
    assert_true(d->submitted[MILGI_OP_SEAL] >= bytes / MILGI__PLAINTEXT_MAX);
    assert_true(d->submitted[MILGI_OP_OPEN] >= bytes / MILGI__PLAINTEXT_MAX);
    assert_int_equal(d->broken, 0);
    assert_int_equal(d->lost, 0);
    if (side->index == 0)
        return;
    assert_int_equal(stats.device[0].submitted[MILGI_OP_SEAL], 0);
    assert_int_equal(stats.device[0].submitted[MILGI_OP_OPEN], 0);
    if (side->device->caps.ops & MILGI_OP_BIT(MILGI_OP_VERIFY)) {
        assert_int_equal(d->submitted[MILGI_OP_VERIFY] + d->submitted[MILGI_OP_VERIFY_CHAIN],
            side == &links.side[MILGI_CLIENT] ? links.ends_n : 0);
    }
}

void links_transfer_in_place(size_t bytes)
{
    assert_int_equal(links_transfer(bytes), 0);
    assert_int_equal(links.strayed, 0);
    assert_int_equal(links.out_of_reach, 0);
    for (int i = 0; i < 2; i++)
        links_device_did_it(&links.side[i], links.ends_n / 2 * bytes);
}
