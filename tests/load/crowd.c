/* SPDX-License-Identifier: Apache-2.0 */
/* Many clients at once, each of which wants its own bytes back, among others that misbehave. */
#include "load.h"

#include <stdlib.h>

#define PIECE 16384u
#define COMPLAINTS 5u

struct crowd;

struct member {
    struct crowd *crowd;
    struct milgi_stream *stream; /* NULL: over */
    uint64_t start;              /* of its text */
    uint64_t sent, back, begin_ms;
    bool opened, wrong;
};

struct crowd {
    struct side side;
    struct member *members;
    struct bad_events bad_events;
    uint64_t begun, shaking, opened, done, failed, gone;
    uint64_t bad_begun, bad_gone;
    uint64_t sent, back;
    uint64_t begin_ms, open_ms, done_ms;
    bool going;
};

static void pump(struct crowd *w);

/* --- one of them -------------------------------------------------------------------------------------------------- */

static void fill(struct member *m)
{
    uint64_t bytes = m->crowd->side.options->bytes;
    int rv = 0;
    if (m->sent == bytes)
        return;
    while (!rv && m->sent < bytes) {
        size_t n = bytes - m->sent < PIECE ? (size_t)(bytes - m->sent) : PIECE;
        rv = milgi_stream_write(m->stream, text_at(m->start, m->sent), n);
        if (!rv || rv == MILGI_PAUSE)
            m->sent += n;
    }
    if (m->sent == bytes)
        milgi_stream_shutdown(m->stream);
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct member *m = arg;
    (void)stream;
    m->opened = true;
    side_shook(&m->crowd->side, m->begin_ms);
    m->crowd->opened++;
    m->crowd->shaking--;
    pump(m->crowd);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct member *m = arg;
    size_t len = 0;
    for (size_t i = 0; i < slices_n; i++) {
        m->wrong = m->wrong || !text_is(m->start, m->back, slices[i].data, slices[i].len);
        m->back += slices[i].len;
        len += slices[i].len;
    }
    milgi_stream_consumed(stream, len);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    fill(arg);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct member *m = arg;
    struct crowd *w = m->crowd;
    (void)stream;
    m->stream = NULL;
    w->sent += m->sent;
    w->back += m->back;
    if (!m->opened)
        w->shaking--;
    if (!reason->error && !m->wrong && m->sent == w->side.options->bytes && m->back == m->sent) {
        w->done++;
    } else if (w->failed++ < COMPLAINTS) {
        fprintf(stderr, "milgi_load: client %zu: %s (%s), alert %d%s, sent %llu, back %llu%s\n",
            (size_t)(m - w->members), milgi_error_text(reason->error), reason->detail, reason->alert,
            reason->alert_from_peer ? " of the peer" : "", (unsigned long long)m->sent, (unsigned long long)m->back,
            m->wrong ? ", not what was sent" : "");
    }
    if (w->done + w->failed == w->side.options->conns)
        w->done_ms = now_ms();
    pump(w);
}

static void on_gone(void *arg)
{
    struct member *m = arg;
    m->crowd->gone++;
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* --- all of them -------------------------------------------------------------------------------------------------- */

static void on_bad_gone(void *arg)
{
    struct crowd *w = arg;
    w->bad_gone++;
}

static void begin_one(struct crowd *w)
{
    struct side *side = &w->side;
    struct member *m = &w->members[w->begun++];
    const struct sockaddr *address = (const struct sockaddr *)&side->address;
    w->shaking++;
    m->begin_ms = now_ms();
    must(milgi_uv_connect(side->uv, address, side->config, side->options->name, &events, m, &m->stream), "connect");
}

/* Everybody is there: all send at once. */
static void go(struct crowd *w)
{
    const struct load_options *o = w->side.options;
    w->going = true;
    w->open_ms = now_ms();
    printf("open %llu of %llu in %llu ms\n", (unsigned long long)w->opened, (unsigned long long)o->conns,
        (unsigned long long)(w->open_ms - w->begin_ms));
    for (uint64_t i = 0; i < o->conns; i++) {
        if (w->members[i].stream)
            fill(&w->members[i]);
    }
}

/* Whoever is due begins; half of those that misbehave while handshakes are on, half while data is. */
static void pump(struct crowd *w)
{
    const struct load_options *o = w->side.options;
    while (w->begun < o->conns && w->shaking < o->shaking)
        begin_one(w);
    uint64_t settled = w->opened + w->done + w->failed;
    while (w->bad_begun < o->bad && w->bad_begun * 2 * o->conns <= settled * o->bad)
        bad_start(&w->side, w->bad_begun++, &w->bad_events);
    if (!w->going && w->begun == o->conns && !w->shaking)
        go(w);
}

static int report(const struct crowd *w)
{
    uint64_t wrong = 0;
    for (int i = 0; i < BAD_KINDS; i++) {
        printf("%s right %llu wrong %llu\n", bad_names[i], (unsigned long long)bad_right[i],
            (unsigned long long)bad_wrong[i]);
        wrong += bad_wrong[i];
    }
    printf("opened %llu done %llu failed %llu sent %llu back %llu bad %llu bad_wrong %llu open_ms %llu data_ms %llu "
           "all_ms %llu slowest_handshake_ms %llu\n",
        (unsigned long long)w->opened, (unsigned long long)w->done, (unsigned long long)w->failed,
        (unsigned long long)w->sent, (unsigned long long)w->back, (unsigned long long)w->bad_gone,
        (unsigned long long)wrong, (unsigned long long)(w->open_ms - w->begin_ms),
        (unsigned long long)(w->done_ms - w->open_ms), (unsigned long long)(now_ms() - w->begin_ms),
        (unsigned long long)w->side.slowest_ms);
    return w->failed || wrong || w->done != w->side.options->conns || w->bad_gone != w->side.options->bad;
}

int load_crowd(const struct load_options *options)
{
    uv_loop_t loop;
    struct crowd w = { .begin_ms = now_ms() };
    must(uv_loop_init(&loop) ? MILGI_ELIMIT : 0, "loop");
    side_open(&w.side, &loop, options, 65536);
    w.bad_events = (struct bad_events){ .gone = on_bad_gone, .arg = &w };
    w.members = calloc(options->conns, sizeof *w.members);
    must(w.members ? 0 : MILGI_ENOMEM, "clients");
    for (uint64_t i = 0; i < options->conns; i++)
        w.members[i] = (struct member){ .crowd = &w, .start = i * 523 };
    pump(&w);
    uv_run(&loop, UV_RUN_DEFAULT); /* until the last of them is gone */
    int status = report(&w);
    side_close(&w.side);
    uv_loop_close(&loop);
    free(w.members);
    return status;
}
