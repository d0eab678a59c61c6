/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes that begin by the clock, whatever becomes of those before them. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "keyless.h"

#define S_NS UINT64_C(1000000000)
#define TIMES 3.0 /* how many times as long 99 of 100 may take while a server is paused */

enum phase {
    QUIET,
    KILLED,
    PAUSED,
    BACK,
    CUT,
    AGAIN,
    PHASES
};

static const struct {
    const char *name;
    double until_s;
} phases[PHASES] = {
    [QUIET] = { "quiet", 5 },
    [KILLED] = { "one killed, started again after 2.5 s", 10 },
    [PAUSED] = { "one paused", 15 },
    [BACK] = { "it goes on", 17 },
    [CUT] = { "one link cut, the other, both", 22 },
    [AGAIN] = { "quiet again", 25 },
};

struct shake {
    struct run *run;
    enum phase phase;
    uint64_t begun_ns;
    unsigned open, gone;
    bool failed;
    struct milgi_stream *side[2];
};

struct run {
    const struct options *o;
    struct papers papers;
    struct keyserver server[SERVERS];
    struct link link[SERVERS];
    uv_loop_t loop;
    uv_timer_t tick, patience;
    struct milgi_uv *uv;
    struct milgi_config *config[2];
    struct milgi_device *device;
    uint64_t begun_ns;
    unsigned started, step, alive;
    unsigned failed[PHASES];
    struct bench_samples took[PHASES];
    bool ended;
};

static double elapsed_s(const struct run *run)
{
    return (double)(uv_hrtime() - run->begun_ns) / 1e9 / run->o->stretch;
}

/* --- one handshake ------------------------------------------------------------------------------------------------ */

static void close_both(struct shake *shake)
{
    for (unsigned i = 0; i < 2; i++) {
        struct milgi_stream *stream = shake->side[i];
        shake->side[i] = NULL;
        if (stream)
            milgi_stream_drop(stream);
    }
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct shake *shake = arg;
    (void)stream;
    if (++shake->open < 2)
        return;
    bench_samples_add(&shake->run->took[shake->phase], (double)(uv_hrtime() - shake->begun_ns) / 1e6);
    close_both(shake);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct shake *shake = arg;
    if (!shake->failed && reason->error != MILGI_EALERT)
        fprintf(stderr, "a handshake failed: %s (code %d)\n", reason->detail ? reason->detail : "",
            (int)reason->device_code);
    if (!shake->failed)
        shake->run->failed[shake->phase]++;
    shake->failed = true;
    shake->side[stream == shake->side[1]] = NULL;
}

static void end_if_over(struct run *run);

static void on_gone(void *arg)
{
    struct shake *shake = arg;
    struct run *run = shake->run;
    if (++shake->gone < 2)
        return;
    free(shake);
    run->alive--;
    end_if_over(run);
}

static void start_one(struct run *run, enum phase phase)
{
    static const struct milgi_stream_events events = { .on_open = on_open, .on_close = on_close, .on_gone = on_gone };
    struct shake *shake = calloc(1, sizeof *shake);
    int fd[2];
    if (!shake || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd))
        bench_die("no socket pair");
    shake->run = run;
    shake->phase = phase;
    shake->begun_ns = uv_hrtime();
    run->alive++;
    for (unsigned i = 0; i < 2; i++)
        if (milgi_uv_open(run->uv, fd[i], run->config[i], i ? "localhost" : NULL, &events, shake, &shake->side[i]))
            bench_die("no stream");
}

/* --- what happens when -------------------------------------------------------------------------------------------- */

static void do_step(struct run *run, unsigned step)
{
    switch (step) {
    case 0: keyserver_kill(&run->server[0]); break;
    case 1: keyserver_start(&run->server[0], &run->papers, run->o->milgi, NULL); break;
    case 2: keyserver_signal(&run->server[0], SIGSTOP); break;
    case 3: keyserver_signal(&run->server[0], SIGCONT); break;
    case 4: atomic_store(&run->link[0].cut, true); break;
    case 5: atomic_store(&run->link[0].cut, false); break;
    case 6: atomic_store(&run->link[1].cut, true); break;
    case 7: atomic_store(&run->link[1].cut, false); break;
    case 8:
        atomic_store(&run->link[0].cut, true);
        atomic_store(&run->link[1].cut, true);
        break;
    default:
        atomic_store(&run->link[0].cut, false);
        atomic_store(&run->link[1].cut, false);
    }
}

static const double steps_s[] = { 5, 7.5, 10, 15, 17, 18, 19, 20, 20.5, 21 };

static void on_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;
    double now_s = elapsed_s(run);
    while (run->step < sizeof steps_s / sizeof steps_s[0] && now_s >= steps_s[run->step])
        do_step(run, run->step++);
    unsigned phase = 0;
    while (phase < PHASES && now_s >= phases[phase].until_s)
        phase++;
    if (phase == PHASES) {
        run->ended = true;
        uv_timer_stop(timer);
        end_if_over(run);
        return;
    }
    while (run->started < now_s * run->o->stretch * run->o->rate) {
        run->started++;
        start_one(run, phase);
    }
}

static void end_if_over(struct run *run)
{
    if (!run->ended || run->alive)
        return;
    uv_close((uv_handle_t *)&run->tick, NULL);
    milgi_uv_stop(run->uv, NULL, NULL);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

static void make_configs(struct run *run)
{
    const struct bench_cert *cert = &run->papers.quick;
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    run->config[0] = milgi_config_new(MILGI_SERVER);
    run->config[1] = milgi_config_new(MILGI_CLIENT);
    if (milgi_credential_new_uri(cert->cert_pem, cert->cert_len, "keyless:", &credential) ||
        milgi_trust_new_pem(cert->cert_pem, cert->cert_len, &trust) ||
        milgi_config_add_credential(run->config[0], credential) || milgi_config_set_trust(run->config[1], trust) ||
        milgi_config_freeze(run->config[0], NULL) || milgi_config_freeze(run->config[1], NULL))
        bench_die("the configs");
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
}

static void begin(struct run *run)
{
    char addresses[64];
    papers_make(&run->papers);
    for (unsigned i = 0; i < SERVERS; i++) {
        keyserver_start(&run->server[i], &run->papers, run->o->milgi, NULL);
        run->link[i].to = run->server[i].port;
    }
    links_start(run->link);
    snprintf(addresses, sizeof addresses, "127.0.0.1:%u,127.0.0.1:%u", run->link[0].port, run->link[1].port);
    run->device = device_for(&run->papers, addresses, 10);
    make_configs(run);
    uv_loop_init(&run->loop);
    if (milgi_uv_new(&run->loop, NULL, &run->uv) || milgi_engine_add_device(milgi_uv_engine(run->uv), run->device) < 0)
        bench_die("the engine");
    uv_timer_init(&run->loop, &run->tick);
    run->tick.data = run;
    struct milgi_keyless_stats stats;
    do
        milgi_keyless_stats(run->device, &stats);
    while (stats.up < SERVERS);
    run->begun_ns = uv_hrtime();
    uv_timer_start(&run->tick, on_tick, 1, 1);
}

static void end(struct run *run)
{
    milgi_device_free(run->device);
    links_stop();
    for (unsigned i = 0; i < SERVERS; i++)
        keyserver_kill(&run->server[i]);
    for (unsigned i = 0; i < 2; i++)
        milgi_config_unref(run->config[i]);
    papers_free(&run->papers);
    uv_loop_close(&run->loop);
}

static bool report(const struct run *run)
{
    struct milgi_keyless_stats s;
    unsigned failed = 0;
    milgi_keyless_stats(run->device, &s);
    printf("%u handshakes over two key servers, %u begun in a second; ms\n", run->started, run->o->rate);
    printf("%-38s %8s %8s %8s %8s %8s %8s\n", "", "done", "failed", "median", "p95", "p99", "most");
    for (unsigned i = 0; i < PHASES; i++) {
        const struct bench_samples *took = &run->took[i];
        failed += run->failed[i];
        printf("%-38s %8zu %8u %8.2f %8.2f %8.2f %8.2f\n", phases[i].name, took->n, run->failed[i],
            bench_samples_median(took), bench_samples_percentile(took, 95), bench_samples_percentile(took, 99),
            bench_samples_percentile(took, 100));
    }
    printf("requests %llu, sent %llu, of these hedged %llu, moved %llu; late answers %llu; connections %llu\n",
        (unsigned long long)s.requests, (unsigned long long)s.sent, (unsigned long long)s.hedged,
        (unsigned long long)s.moved, (unsigned long long)s.late, (unsigned long long)s.connected);
    double times = bench_samples_percentile(&run->took[PAUSED], 99) / bench_samples_percentile(&run->took[QUIET], 99);
    bool right = !failed && times <= TIMES;
    printf("%s: %u failed; p99 while one is paused is %.2f times the quiet one, at most %.0f\n",
        right ? "met" : "MISSED", failed, times, TIMES);
    return right;
}

bool handshakes(const struct options *options)
{
    static struct run run;
    run.o = options;
    begin(&run);
    uv_run(&run.loop, UV_RUN_DEFAULT);
    bool right = report(&run);
    end(&run);
    return right;
}
