/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that take little of a long answer, and clients that send without end to a backend that takes little. */
#include "load.h"

#include <stdlib.h>

#define PIECE 16384u
#define TICK_MS 100u
#define CREDIT 16384u

struct slow;

struct member {
    struct slow *slow;
    struct milgi_stream *stream; /* NULL: over */
    uint64_t index;
    uint64_t moved; /* bytes received or sent */
    uint64_t owed;  /* of them, not consumed */
    bool whole;     /* close_notify came at the right place */
    bool wrong;
};

struct slow {
    struct side side;
    struct member *members;
    uv_timer_t tick;
    uint64_t open, open_most, failed, wrong, end_ms, most, finished;
    bool writes, quick;
};

static bool quick(const struct member *m)
{
    return m->slow->quick && m->index < m->slow->side.options->finish;
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct member *m = arg;
    for (size_t i = 0; i < slices_n; i++) {
        m->wrong = m->wrong || !text_is(0, m->moved, slices[i].data, slices[i].len);
        m->moved += slices[i].len;
        m->owed += slices[i].len;
    }
    if (!quick(m))
        return;
    milgi_stream_consumed(stream, m->owed);
    m->owed = 0;
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    struct member *m = arg;
    m->whole = m->moved == m->slow->side.options->bytes;
    milgi_stream_shutdown(stream);
}

static void fill(struct member *m)
{
    int rv = m->slow->writes && m->stream ? 0 : MILGI_PAUSE;
    while (!rv) {
        rv = milgi_stream_write(m->stream, text_at(0, m->moved), PIECE);
        if (!rv || rv == MILGI_PAUSE)
            m->moved += PIECE;
    }
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct member *m = arg;
    (void)stream;
    if (++m->slow->open > m->slow->open_most)
        m->slow->open_most = m->slow->open;
    fill(m);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    fill(arg);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct member *m = arg;
    (void)stream;
    m->stream = NULL;
    if (!reason->error && m->whole && !m->wrong) {
        m->slow->finished++;
        return;
    }
    m->slow->failed++;
    fprintf(stderr, "milgi_load: client %llu: %s (%s) after %llu bytes%s\n", (unsigned long long)m->index,
        milgi_error_text(reason->error), reason->detail, (unsigned long long)m->moved, m->wrong ? ", wrong ones" : "");
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
};

/* What the kernel takes in for a slow reader is not what is measured. */
static void set_room(struct member *m, int bytes)
{
    uv_recv_buffer_size((uv_handle_t *)milgi_uv_tcp(m->stream), &bytes);
}

/* The slow part is over: the first few want all, the others vanish. */
static void finish(struct slow *s)
{
    const struct load_options *o = s->side.options;
    s->quick = true;
    uv_timer_stop(&s->tick);
    for (uint64_t i = 0; i < o->conns; i++) {
        struct member *m = &s->members[i];
        s->most = m->moved > s->most ? m->moved : s->most;
        s->wrong += m->wrong;
        if (!m->stream)
            continue;
        if (quick(m)) {
            set_room(m, 1 << 20); /* TCP with a window below its segments moves a few of them a second */
            milgi_stream_consumed(m->stream, m->owed);
            m->owed = 0;
        } else {
            milgi_stream_drop(m->stream);
            m->stream = NULL;
        }
    }
    printf("slow %llu most %llu\n", (unsigned long long)s->open_most, (unsigned long long)s->most);
}

static void on_tick(uv_timer_t *timer)
{
    struct slow *s = timer->data;
    const struct load_options *o = s->side.options;
    uint64_t share = o->rate * TICK_MS / 1000;
    if (now_ms() >= s->end_ms) {
        finish(s);
        return;
    }
    for (uint64_t i = 0; i < o->conns; i++) {
        struct member *m = &s->members[i];
        uint64_t n = m->owed < share ? m->owed : share;
        if (!m->stream || !n)
            continue;
        m->owed -= n;
        milgi_stream_consumed(m->stream, n);
    }
}

static void begin_one(struct slow *s, struct member *m)
{
    struct side *side = &s->side;
    const struct sockaddr *address = (const struct sockaddr *)&side->address;
    must(milgi_uv_connect(side->uv, address, side->config, side->options->name, &events, m, &m->stream), "connect");
    if (!s->writes)
        set_room(m, 16384);
}

static int run_slow(const struct load_options *o, bool writes)
{
    uv_loop_t loop;
    struct slow s = { .writes = writes, .end_ms = now_ms() + o->seconds * 1000 };
    must(uv_loop_init(&loop) ? MILGI_ELIMIT : 0, "loop");
    side_open(&s.side, &loop, o, CREDIT);
    s.members = calloc(o->conns, sizeof *s.members);
    must(s.members ? 0 : MILGI_ENOMEM, "clients");
    uv_timer_init(&loop, &s.tick);
    s.tick.data = &s;
    uv_timer_start(&s.tick, on_tick, TICK_MS, TICK_MS);
    for (uint64_t i = 0; i < o->conns; i++) {
        s.members[i] = (struct member){ .slow = &s, .index = i };
        begin_one(&s, &s.members[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    printf("opened %llu finished %llu failed %llu wrong %llu most %llu\n", (unsigned long long)s.open_most,
        (unsigned long long)s.finished, (unsigned long long)s.failed, (unsigned long long)s.wrong,
        (unsigned long long)s.most);
    uv_close((uv_handle_t *)&s.tick, NULL);
    side_close(&s.side);
    uv_loop_close(&loop);
    free(s.members);
    return s.failed || s.wrong || s.open_most != o->conns || (!writes && s.finished != o->finish);
}

int load_readers(const struct load_options *options)
{
    return run_slow(options, false);
}

int load_writers(const struct load_options *options)
{
    return run_slow(options, true);
}
