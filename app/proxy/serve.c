/* SPDX-License-Identifier: Apache-2.0 */
/* `milgi proxy`: a process that serves, from its engine to its end, by itself or below a master. */
#include "proxy.h"
#include "common/notify.h"
#include "common/say.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_TICK_MS 100
#define END_S 5          /* for what a process does when it serves nobody any more */
#define HURRY_MS 500     /* the same when somebody is in a hurry */
#define SAY_AGAIN_MS 200 /* when nobody reads what it says */
#define FAREWELL_MS 2000 /* for close_notify to get out when draining has taken too long */

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void shut(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* A signal too many must not spoil the exit status: libuv puts the default back when its handles go. */
static void deafen(struct proxy *p)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
    sigset_t ours, before;
    sigemptyset(&ours);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&ours, numbers[i]);
    sigprocmask(SIG_BLOCK, &ours, &before);
    shut(&p->on_term);
    shut(&p->on_int);
    shut(&p->on_hup);
    shut(&p->on_usr1);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        signal(numbers[i], SIG_IGN);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void on_alarm(int number)
{
    (void)number;
    _exit(APP_OK);
}

/* A device that hangs may hold up the engine's end, and there is nothing left to wait for. */
static void end_anyway_in_a_while(void)
{
    signal(SIGALRM, on_alarm);
    alarm(END_S);
}

/* The loop ends when the last handle is closed. */
static void stop(struct proxy *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    end_anyway_in_a_while();
    proxy_reload_forget(p);
    clients_part(p);
    app_tls_stop(&p->tls);
    proxy_listen(p);
    deafen(p);
    if (p->channel >= 0)
        shut(&p->orders);
    shut(&p->sweep);
    shut(&p->drain);
    shut(&p->stats);
    shut(&p->held);
    shut(&p->calm);
    shut(&p->later);
    shut(&p->heed);
    shut(&p->repeat);
    failures_tell(&p->failures);
}

static const char ends[] = "the proxy ends";

/* Those that have it all end in order, everybody else is told that there was more. */
static void say_farewell(struct proxy *p, uint32_t ms)
{
    struct place *place;
    while ((place = clients_first(&p->shaking))) {
        place->client->why = ends;
        proxy_close(place->client);
    }
    while ((place = clients_first(&p->open))) {
        place->client->why = ends;
        proxy_end(place->client);
    }
    p->farewell_end_ms = p->farewell_end_ms ? p->farewell_end_ms : uv_now(&p->loop) + ms;
}

static void on_drain(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    uint64_t now = uv_now(&p->loop);
    for (struct place *place = clients_first(&p->open), *next; place; place = next) {
        next = clients_next(place);
        if (p->service->busy(place->client, p->patient))
            continue;
        place->client->why = ends;
        proxy_end(place->client);
    }
    if (now >= p->drain_end_ms)
        say_farewell(p, FAREWELL_MS);
    if (!p->clients_n || (p->farewell_end_ms && now >= p->farewell_end_ms))
        stop(p);
}

/* It takes no connection any more. */
static void close_doors(struct proxy *p)
{
    if (p->channel < 0 && !p->draining)
        app_notify("STOPPING=1");
    p->draining = true;
    proxy_listen(p);
    listeners_close(&p->listeners);
}

/* Somebody is in a hurry: nobody is waited for, but all are told. */
static void hurry(struct proxy *p)
{
    if (p->stopping)
        return;
    close_doors(p);
    p->farewell_end_ms = 0;
    say_farewell(p, HURRY_MS);
    uv_timer_start(&p->drain, on_drain, 0, DRAIN_TICK_MS);
}

static void tell(struct proxy *p, enum order what)
{
    char byte = (char)what;
    if (p->channel >= 0 && write(p->channel, &byte, 1) != 1)
        stop(p); /* nobody is there any more */
}

/* |patient|: nobody waits for this process to end. */
static void drain(struct proxy *p, bool patient)
{
    uint64_t end_ms = uv_now(&p->loop) + p->options->drain_ms;
    if (p->stopping)
        return;
    p->patient = patient && (p->patient || !p->draining);
    if (!p->draining || end_ms < p->drain_end_ms)
        p->drain_end_ms = end_ms;
    uv_timer_start(&p->drain, on_drain, 0, DRAIN_TICK_MS);
    if (p->draining)
        return;
    close_doors(p);
    tell(p, TOLD_DEAF);
}

/* --- what it is told ---------------------------------------------------------------------------------------------- */

static void on_term(uv_signal_t *signal, int number)
{
    struct proxy *p = signal->data;
    (void)number;
    if (p->asked_to_end)
        hurry(p);
    else
        drain(p, false);
    p->asked_to_end = true;
}

static void on_int(uv_signal_t *signal, int number)
{
    struct proxy *p = signal->data;
    (void)number;
    if (p->hurried)
        stop(p);
    else
        hurry(p);
    p->hurried = true;
}

static void on_hup(uv_signal_t *signal, int number)
{
    (void)number;
    proxy_reload(signal->data);
}

static void on_order(uv_poll_t *poll, int status, int events)
{
    struct proxy *p = poll->data;
    char order;
    (void)events;
    ssize_t len = status ? 0 : read(p->channel, &order, 1);
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (len <= 0 || order == ORDER_STOP) {
        uv_poll_stop(&p->orders);
        hurry(p); /* nobody replaces it, nor tells it anything, when the master is gone */
        return;
    }
    if (order == ORDER_RETIRE || order == ORDER_DRAIN)
        drain(p, order == ORDER_RETIRE);
    p->serving |= order == ORDER_SERVE;
    proxy_listen(p);
}

/* --- what could not be said --------------------------------------------------------------------------------------- */

static void on_repeat(uv_timer_t *timer)
{
    (void)timer;
    app_say_again();
}

/* Before every sleep of the loop. */
static void on_heed(uv_prepare_t *prepare)
{
    struct proxy *p = prepare->data;
    p->turns++;
    if (!p->stopping && app_say_pending() && !uv_is_active((uv_handle_t *)&p->repeat))
        uv_timer_start(&p->repeat, on_repeat, SAY_AGAIN_MS, 0);
}

/* --- statistics --------------------------------------------------------------------------------------------------- */

static void on_stats(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    struct milgi_engine_stats s;
    milgi_engine_stats(app_tls_engine(&p->tls), &s);
    const struct proxy_counts *n = &p->counts;
    app_complain("connections %u accepted %llu established %llu failed %llu probes %llu in_order %llu memory %zu "
                 "peak %zu sealed %llu opened %llu ops %u orphans %u kernel_sends %llu kernel_receives %llu "
                 "splice_sends %llu splice_receives %llu",
        p->clients_n, (unsigned long long)n->accepted, (unsigned long long)n->established,
        (unsigned long long)n->failed, (unsigned long long)n->probes, (unsigned long long)n->in_order, s.memory,
        s.memory_peak, (unsigned long long)s.bytes_sealed, (unsigned long long)s.bytes_opened, s.ops_alive, s.orphans,
        (unsigned long long)n->kernel[MILGI_SEND], (unsigned long long)n->kernel[MILGI_RECEIVE],
        (unsigned long long)n->spliced[MILGI_SEND], (unsigned long long)n->spliced[MILGI_RECEIVE]);
}

static void on_usr1(uv_signal_t *signal, int number)
{
    struct proxy *p = signal->data;
    (void)number;
    if (p->report) {
        report_fill(p->report, p);
        tell(p, TOLD_REPORT);
        return;
    }
    struct milgi_engine *engine = app_tls_engine(&p->tls);
    size_t len = milgi_engine_dump(engine, NULL, 0);
    char *text = malloc(len + 1);
    if (!text) {
        app_complain("no memory for the statistics");
        return;
    }
    milgi_engine_dump(engine, text, len + 1);
    app_report("statistics", text);
    free(text);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static void init_handles(struct proxy *p)
{
    uv_signal_init(&p->loop, &p->on_term);
    uv_signal_init(&p->loop, &p->on_int);
    uv_signal_init(&p->loop, &p->on_hup);
    uv_signal_init(&p->loop, &p->on_usr1);
    if (p->channel >= 0)
        uv_poll_init(&p->loop, &p->orders, p->channel);
    uv_timer_init(&p->loop, &p->sweep);
    uv_timer_init(&p->loop, &p->drain);
    uv_timer_init(&p->loop, &p->stats);
    uv_timer_init(&p->loop, &p->held);
    uv_timer_init(&p->loop, &p->calm);
    uv_timer_init(&p->loop, &p->later);
    uv_prepare_init(&p->loop, &p->heed);
    uv_timer_init(&p->loop, &p->repeat);
    p->on_term.data = p->on_int.data = p->on_hup.data = p->on_usr1.data = p->orders.data = p;
    p->sweep.data = p->drain.data = p->stats.data = p->held.data = p->calm.data = p->later.data = p->heed.data =
        p->repeat.data = p;
}

/* They were blocked from the start of the process on, so that none came before there was somebody to hear it. */
static void hear_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

static void start(struct proxy *p)
{
    const struct app_options *o = p->options;
    clients_init(p);
    access_log_open(&p->log, o);
    uv_signal_start(&p->on_term, on_term, SIGTERM);
    uv_signal_start(&p->on_int, on_int, SIGINT);
    uv_signal_start(&p->on_usr1, on_usr1, SIGUSR1);
    if (p->channel < 0)
        uv_signal_start(&p->on_hup, on_hup, SIGHUP);
    if (o->stats_ms)
        uv_timer_start(&p->stats, on_stats, o->stats_ms, o->stats_ms);
    uv_prepare_start(&p->heed, on_heed);
    hear_signals();
    if (p->channel >= 0) {
        uv_poll_start(&p->orders, UV_READABLE, on_order);
        tell(p, TOLD_READY);
        return;
    }
    p->serving = true;
    proxy_listen(p);
    proxy_announce(p);
}

int proxy_serve(struct proxy *p)
{
    if (uv_loop_init(&p->loop)) {
        app_complain("no event loop: out of descriptors or memory");
        return APP_FAILED;
    }
    int status = app_tls_start(&p->tls, &p->loop, p->options);
    if (!status) {
        init_handles(p);
        bool ready = trace_open(&p->trace, p->options->trace, app_tls_engine(&p->tls)) && proxy_limit(p);
        status = ready ? APP_OK : APP_FAILED;
        if (!status)
            start(p);
        else
            stop(p);
        app_tls_run(&p->tls, &p->loop);
        stop(p);
    } else {
        app_tls_stop(&p->tls);
    }
    app_tls_run(&p->tls, &p->loop);
    if (p->load) { /* its thread waits for a token, perhaps for ever, and has what would be freed */
        proxy_leave(p);
        app_say_last();
        _exit(status);
    }
    access_log_close(&p->log);
    trace_close(&p->trace);
    uv_loop_close(&p->loop);
    app_tls_close(&p->tls);
    return status; /* the alarm stays: what the libraries of tokens do at the end of the process may hang, too */
}
