/* SPDX-License-Identifier: Apache-2.0 */
/* The engine in a loop: when it runs, when it is woken, and the list of streams that linger. */
#include "loop.h"

#define NS_PER_MS 1000000u
#define LINGERS_MAX 10     /* times linger_ms, whatever moves */
#define LINGERS_AT_ONCE 64 /* streams that are looked at in one go: a crowd that ends at once does not hold up others */
#define FED_AT_ONCE 64     /* streams that try again in one go when there are chunks */
#define FED_AGAIN_MS 100   /* so many more try after this, whatever came back */

/* --- the turn --------------------------------------------------------------------------------------------------- */

uint64_t milgi__loop_now(const struct milgi_loop *loop)
{
    return milgi_engine_now(loop->engine);
}

static void arm(struct milgi_loop *loop)
{
    uint64_t due = loop->linger_first ? loop->linger_first->linger_due : UINT64_MAX;
    due = due < loop->engine_due ? due : loop->engine_due;
    if (loop->unfed_n && loop->fed_due < due)
        due = loop->fed_due;
    if (!loop->stopping)
        loop->hooks->timer(loop, due);
}

/* Records to the kernel, of those for whom that may be possible since the turn: each once. */
static void take(struct milgi_loop *loop)
{
    for (unsigned n = loop->taking_n; n && loop->taking_first; n--) {
        struct milgi_stream *s = loop->taking_first;
        milgi__loop_taken(s);
        milgi__stream_take(s);
    }
}

void milgi__loop_takes(struct milgi_stream *s)
{
    struct milgi_loop *loop = s->loop;
    if (s->takes)
        return;
    s->takes = true;
    loop->taking_n++;
    s->taking_next = NULL;
    s->taking_prev = loop->taking_last;
    *(s->taking_prev ? &s->taking_prev->taking_next : &loop->taking_first) = s;
    loop->taking_last = s;
}

void milgi__loop_taken(struct milgi_stream *s)
{
    struct milgi_loop *loop = s->loop;
    if (!s->takes)
        return;
    s->takes = false;
    loop->taking_n--;
    *(s->taking_prev ? &s->taking_prev->taking_next : &loop->taking_first) = s->taking_next;
    *(s->taking_next ? &s->taking_next->taking_prev : &loop->taking_last) = s->taking_prev;
}

/*
 * Some of those that starve try again, the longest waiting first. The next do behind the next turn, or, when somebody
 * has found nothing by then, after a while: what there is may be enough for them. So a chunk that comes back costs as
 * many tries as it serves, and some, however many wait for it.
 */
static void feed(struct milgi_loop *loop)
{
    loop->feeding = true;
    for (unsigned i = 0; i < FED_AT_ONCE && loop->unfed_n && loop->starved_first; i++) {
        struct milgi_stream *s = loop->starved_first;
        loop->unfed_n--;
        milgi__loop_sated(s);
        milgi__stream_refill(s);
    }
    loop->unfed_n = loop->unfed_n < loop->starved_n ? loop->unfed_n : loop->starved_n;
    loop->feeding = loop->feeding && loop->unfed_n;
    loop->fed_due = milgi__loop_now(loop) + (uint64_t)FED_AGAIN_MS * NS_PER_MS;
}

void milgi__loop_turn(struct milgi_loop *loop)
{
    struct milgi_run_result result;
    if (loop->feeding && !loop->stopping)
        feed(loop);
    if (loop->stopping || milgi_engine_run(loop->engine, loop->options.budget_ns, &result) || loop->stopping)
        return;
    take(loop);
    loop->engine_due = result.next == MILGI_RUN_WAIT ? result.deadline_ns : UINT64_MAX;
    loop->engine_may = result.next == MILGI_RUN_WAIT ? result.convenient_ns : UINT64_MAX;
    if (result.next == MILGI_RUN_AGAIN || loop->feeding)
        loop->hooks->soon(loop);
    arm(loop);
}

static void on_schedule(void *ctx, struct milgi_engine *engine)
{
    struct milgi_loop *loop = ctx;
    (void)engine;
    if (!loop->stopping)
        loop->hooks->soon(loop);
}

static void on_memory(void *ctx, struct milgi_engine *engine)
{
    struct milgi_loop *loop = ctx;
    (void)engine;
    loop->unfed_n = loop->starved_n;
    feed(loop);
}

/* --- starving ----------------------------------------------------------------------------------------------------- */

void milgi__loop_starves(struct milgi_stream *s)
{
    struct milgi_loop *loop = s->loop;
    loop->feeding = false; /* there is nothing: the engine tells when there is */
    if (s->starves)
        return;
    s->starves = true;
    loop->starved_n++;
    s->starved_next = NULL;
    s->starved_prev = loop->starved_last;
    *(s->starved_prev ? &s->starved_prev->starved_next : &loop->starved_first) = s;
    loop->starved_last = s;
}

void milgi__loop_sated(struct milgi_stream *s)
{
    struct milgi_loop *loop = s->loop;
    if (!s->starves)
        return;
    s->starves = false;
    loop->starved_n--;
    *(s->starved_prev ? &s->starved_prev->starved_next : &loop->starved_first) = s->starved_next;
    *(s->starved_next ? &s->starved_next->starved_prev : &loop->starved_last) = s->starved_prev;
}

/* --- lingering: a list in order, since all are looked at equally often ------------------------------------------- */

void milgi__loop_linger_end(struct milgi_stream *s)
{
    struct milgi_loop *loop = s->loop;
    if (!s->lingers)
        return;
    s->lingers = false;
    *(s->linger_prev ? &s->linger_prev->linger_next : &loop->linger_first) = s->linger_next;
    *(s->linger_next ? &s->linger_next->linger_prev : &loop->linger_last) = s->linger_prev;
}

static void look_later(struct milgi_stream *s, uint64_t now)
{
    struct milgi_loop *loop = s->loop;
    milgi__loop_linger_end(s);
    s->linger_due = now + (uint64_t)loop->options.linger_ms * NS_PER_MS;
    s->lingers = true;
    s->linger_next = NULL;
    s->linger_prev = loop->linger_last;
    *(s->linger_prev ? &s->linger_prev->linger_next : &loop->linger_first) = s;
    loop->linger_last = s;
}

void milgi__loop_linger(struct milgi_stream *s)
{
    if (s->lingers)
        return;
    uint64_t now = milgi__loop_now(s->loop);
    if (!s->linger_began)
        s->linger_began = s->moved_ns = now;
    look_later(s, now);
    if (s->loop->linger_first == s)
        arm(s->loop);
}

/*
 * A peer that is slow has a right to what was sent before an end in order, as long as it takes some of it now and then;
 * one that has gone away has said all that there is in the socket. Others have a moment.
 */
static bool still_lingers(struct milgi_stream *s)
{
    const struct milgi_stream_options *o = &s->loop->options;
    bool left = milgi__stream_look(s) != 0;
    uint64_t now = milgi__loop_now(s->loop);
    uint64_t quiet_ms = o->linger_ms, total_ms = LINGERS_MAX * (uint64_t)o->linger_ms;
    if (s->error && !s->ended) {
        total_ms = UINT64_MAX / NS_PER_MS;
    } else if (left && s->established && !s->cut && !s->error) {
        quiet_ms = o->flush_ms;
        total_ms = o->flush_total_ms;
    }
    return now - s->moved_ns < quiet_ms * NS_PER_MS && now - s->linger_began < total_ms * NS_PER_MS;
}

void milgi__loop_timer(struct milgi_loop *loop)
{
    if (loop->stopping)
        return;
    uint64_t now = milgi__loop_now(loop);
    for (unsigned i = 0; i < LINGERS_AT_ONCE && loop->linger_first && loop->linger_first->linger_due <= now; i++) {
        struct milgi_stream *s = loop->linger_first;
        if (still_lingers(s))
            look_later(s, now);
        else
            milgi__stream_expired(s);
    }
    if (loop->unfed_n && loop->fed_due <= now)
        feed(loop);
    if (loop->feeding || loop->engine_may <= now) /* awake anyway */
        loop->hooks->soon(loop);
    else
        arm(loop);
}

/* --- its life --------------------------------------------------------------------------------------------------- */

void milgi_stream_options_init(struct milgi_stream_options *options)
{
    *options = (struct milgi_stream_options){
        .linger_ms = 2000,
        .linger_bytes = 64 * 1024,
        .flush_ms = 30000,
        .flush_total_ms = 120000,
    };
    milgi_engine_options_init(&options->engine);
}

int milgi__loop_init(
    struct milgi_loop *loop, const struct milgi_loop_hooks *hooks, const struct milgi_stream_options *options)
{
    if (options)
        loop->options = *options;
    else
        milgi_stream_options_init(&loop->options);
    loop->hooks = hooks;
    loop->engine_due = loop->engine_may = UINT64_MAX;
    loop->options.engine.schedule = on_schedule;
    loop->options.engine.schedule_ctx = loop;
    loop->options.engine.on_memory = on_memory;
    loop->options.engine.memory_ctx = loop;
    return milgi_engine_new(&loop->options.engine, &loop->engine);
}

void milgi__loop_stop(struct milgi_loop *loop)
{
    loop->stopping = true;
    for (struct milgi_stream *s = loop->streams; s; s = s->next)
        milgi__stream_destroy(s, false);
}
