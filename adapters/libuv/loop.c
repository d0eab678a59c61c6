/* SPDX-License-Identifier: Apache-2.0 */
/* The engine in the loop: when it runs, and what wakes it. */
#include "internal.h"

#include <stdlib.h>

#define NS_PER_MS 1000000u
#define HANDLES 5

/* --- the turn --------------------------------------------------------------------------------------------------- */

static void stay_awake(uv_idle_t *idle)
{
    (void)idle; /* being active is all it does: the loop does not sleep */
}

static void on_check(uv_check_t *check);

/*
 * The turn comes right after the loop's next poll: whatever the sockets bring in one iteration shares it.
 */
static void turn_soon(struct milgi_uv *uv)
{
    if (uv->stopping)
        return;
    uv_check_start(&uv->check, on_check);
    uv_idle_start(&uv->idle, stay_awake);
}

static void on_deadline(uv_timer_t *timer)
{
    turn_soon(timer->data);
}

static void turn_at(struct milgi_uv *uv, uint64_t deadline_ns)
{
    uint64_t now = uv->clock.monotonic_ns(uv->clock.ctx);
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    if (left < NS_PER_MS)
        turn_soon(uv); /* nearer than the loop's timers can tell: turn until it is there */
    else
        uv_timer_start(&uv->timer, on_deadline, left / NS_PER_MS, 0);
}

static void on_check(uv_check_t *check)
{
    struct milgi_uv *uv = check->data;
    struct milgi_run_result result;
    uv_check_stop(&uv->check);
    uv_idle_stop(&uv->idle);
    uv_timer_stop(&uv->timer);
    milgi_engine_run(uv->engine, uv->options.budget_ns, &result);
    if (uv->stopping)
        return;
    if (result.next == MILGI_RUN_AGAIN)
        turn_soon(uv);
    else if (result.next == MILGI_RUN_WAIT)
        turn_at(uv, result.deadline_ns);
}

static void on_engine_fd(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    turn_soon(poll->data);
}

static void on_schedule(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    turn_soon(ctx);
}

static void on_memory(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    milgi_uv__streams_refill(ctx);
}

/* --- lingering: one timer for all, since all wait equally long ---------------------------------------------------- */

static void on_linger(uv_timer_t *timer);

static void linger_arm(struct milgi_uv *uv)
{
    uint64_t now = uv_now(uv->loop);
    if (!uv->linger_first) {
        uv_timer_stop(&uv->linger);
        return;
    }
    uint64_t due = uv->linger_first->linger_due;
    uv_timer_start(&uv->linger, on_linger, due > now ? due - now : 0, 0);
}

/* A peer that is slow has a right to what was sent before the end, as long as it takes some of it now and then. */
static bool still_takes(struct milgi_uv_stream *s)
{
    uint64_t now = uv_now(s->uv->loop);
    size_t left = uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp);
    if (!left || s->write_error || !s->established || now >= s->linger_last)
        return false;
    if (left != s->linger_left)
        s->linger_moved = now;
    s->linger_left = left;
    return now - s->linger_moved < s->uv->options.flush_ms;
}

static void on_linger(uv_timer_t *timer)
{
    struct milgi_uv *uv = timer->data;
    while (uv->linger_first && uv->linger_first->linger_due <= uv_now(uv->loop)) {
        struct milgi_uv_stream *s = uv->linger_first;
        if (still_takes(s)) {
            s->linger_end = 0;
            milgi_uv__linger(s);
        } else {
            milgi_uv__stream_expired(s);
        }
    }
    linger_arm(uv);
}

void milgi_uv__linger_end(struct milgi_uv_stream *s)
{
    struct milgi_uv *uv = s->uv;
    if (!s->lingers)
        return;
    s->lingers = false;
    *(s->linger_prev ? &s->linger_prev->linger_next : &uv->linger_first) = s->linger_next;
    *(s->linger_next ? &s->linger_next->linger_prev : &uv->linger_last) = s->linger_prev;
}

void milgi_uv__linger(struct milgi_uv_stream *s)
{
    struct milgi_uv *uv = s->uv;
    uint64_t now = uv_now(uv->loop);
    if (!s->linger_last)
        s->linger_last = now + uv->options.flush_total_ms;
    if (!s->linger_end)
        s->linger_end = now + 10 * (uint64_t)uv->options.linger_ms;
    milgi_uv__linger_end(s);
    s->linger_due = now + uv->options.linger_ms;
    if (s->linger_due > s->linger_end)
        s->linger_due = s->linger_end;
    if (s->linger_due > s->linger_last && uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp))
        s->linger_due = s->linger_last;
    s->lingers = true;
    s->linger_next = NULL;
    s->linger_prev = uv->linger_last;
    *(s->linger_prev ? &s->linger_prev->linger_next : &uv->linger_first) = s;
    uv->linger_last = s;
    if (!uv_is_active((uv_handle_t *)&uv->linger))
        linger_arm(uv);
}

/* --- its life --------------------------------------------------------------------------------------------------- */

void milgi_uv_options_init(struct milgi_uv_options *options)
{
    *options = (struct milgi_uv_options){
        .linger_ms = 2000,
        .linger_bytes = 64 * 1024,
        .flush_ms = 30000,
        .flush_total_ms = 120000,
    };
    milgi_engine_options_init(&options->engine);
}

static void free_if_over(struct milgi_uv *uv)
{
    if (!uv->stopping || uv->handles || uv->streams_n)
        return;
    milgi_engine_free(uv->engine);
    if (uv->stopped)
        uv->stopped(uv->stopped_arg);
    free(uv);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct milgi_uv *uv = handle->data;
    uv->handles--;
    free_if_over(uv);
}

void milgi_uv__stream_gone(struct milgi_uv *uv)
{
    if (!uv->streams_n && !uv->stopping)
        uv_unref((uv_handle_t *)&uv->poll);
    free_if_over(uv);
}

static void close_handles(struct milgi_uv *uv)
{
    uv_close((uv_handle_t *)&uv->poll, on_handle_closed);
    uv_close((uv_handle_t *)&uv->check, on_handle_closed);
    uv_close((uv_handle_t *)&uv->idle, on_handle_closed);
    uv_close((uv_handle_t *)&uv->timer, on_handle_closed);
    uv_close((uv_handle_t *)&uv->linger, on_handle_closed);
}

int milgi_uv_new(uv_loop_t *loop, const struct milgi_uv_options *options, struct milgi_uv **out)
{
    struct milgi_uv *uv = calloc(1, sizeof *uv);
    *out = NULL;
    if (!uv)
        return MILGI_ENOMEM;
    uv->loop = loop;
    if (options)
        uv->options = *options;
    else
        milgi_uv_options_init(&uv->options);
    uv->clock = uv->options.engine.clock;
    uv->options.engine.schedule = on_schedule;
    uv->options.engine.schedule_ctx = uv;
    uv->options.engine.on_memory = on_memory;
    uv->options.engine.memory_ctx = uv;
    int rc = milgi_engine_new(&uv->options.engine, &uv->engine);
    if (rc) {
        free(uv);
        return rc;
    }
    if (uv_poll_init(loop, &uv->poll, milgi_engine_fd(uv->engine))) {
        milgi_engine_free(uv->engine);
        free(uv);
        return MILGI_ELIMIT;
    }
    uv_check_init(loop, &uv->check);
    uv_idle_init(loop, &uv->idle);
    uv_timer_init(loop, &uv->timer);
    uv_timer_init(loop, &uv->linger);
    uv->handles = HANDLES;
    uv->poll.data = uv->check.data = uv->idle.data = uv->timer.data = uv->linger.data = uv;
    /* What keeps the loop alive is streams, and for them the poll handle speaks: a paused socket itself does not. */
    uv_unref((uv_handle_t *)&uv->poll);
    uv_unref((uv_handle_t *)&uv->check);
    uv_unref((uv_handle_t *)&uv->idle);
    uv_unref((uv_handle_t *)&uv->timer);
    uv_unref((uv_handle_t *)&uv->linger);
    uv_poll_start(&uv->poll, UV_READABLE, on_engine_fd);
    *out = uv;
    return 0;
}

void milgi_uv_stop(struct milgi_uv *uv, void (*stopped)(void *arg), void *arg)
{
    if (uv->stopping)
        return;
    uv->stopping = true;
    uv->stopped = stopped;
    uv->stopped_arg = arg;
    for (struct milgi_uv_stream *s = uv->streams; s; s = s->next)
        milgi_uv__stream_destroy(s);
    close_handles(uv);
}

struct milgi_engine *milgi_uv_engine(struct milgi_uv *uv)
{
    return uv->engine;
}

unsigned milgi_uv_streams(const struct milgi_uv *uv)
{
    return uv->streams_n;
}
