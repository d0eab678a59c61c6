/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A master and two workers: an echo server whose certificate can be renewed while it serves.
 *
 *   example_workers CHAIN.pem KEY.pem [DEVICE]
 *
 * The master builds the config and the listening socket, and forks. A worker makes its loop, engine and device after
 * fork(). SIGHUP to the master reads the certificate again: two workers with the new one begin, those with the old one
 * take no more connections and end with their last. SIGTERM ends all of them in order.
 */
#include <errno.h>
#include <milgi_uv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define DRAIN_MS 5000

static void must(int rv, const char *what)
{
    if (rv >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, milgi_error_text(rv));
    exit(1);
}

/* --- a worker: everything here is made after fork() --------------------------------------------------------------- */

struct worker {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_signal_t term;
    uv_poll_t master; /* readable when the master is gone */
    uv_timer_t drain;
    struct milgi_uv *uv;
    struct milgi_config *config; /* the master's, from before fork(): plain data may cross */
    bool stopping;
};

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    (void)arg;
    milgi_stream_forward(stream, stream, slices, slices_n);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)arg;
    milgi_stream_shutdown(stream);
}

static const struct milgi_stream_events events = { .on_data = on_data, .on_end = on_end };

static void on_connection(uv_stream_t *listener, int status)
{
    struct worker *w = listener->data;
    struct milgi_stream *stream;
    /* Another worker may have been faster, or there is no room: the next one will be there. */
    if (!status && milgi_uv_accept(w->uv, listener, w->config, &events, NULL, &stream) < 0)
        fprintf(stderr, "worker %ld: a connection was not taken\n", (long)getpid());
}

static void stop(struct worker *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    milgi_uv_stop(w->uv, NULL, NULL);
    uv_close((uv_handle_t *)&w->term, NULL);
    uv_close((uv_handle_t *)&w->master, NULL);
    uv_close((uv_handle_t *)&w->drain, NULL);
    if (!uv_is_closing((uv_handle_t *)&w->listener))
        uv_close((uv_handle_t *)&w->listener, NULL);
}

static void on_drained(uv_timer_t *timer)
{
    stop(timer->data);
}

/*
 * Others take the connections from here on. The socket is the master's too: what waits in it is not lost. The loop ends
 * with the last stream, since the other handles do not keep it alive.
 */
static void on_term(uv_signal_t *term, int number)
{
    struct worker *w = term->data;
    (void)number;
    if (!uv_is_closing((uv_handle_t *)&w->listener))
        uv_close((uv_handle_t *)&w->listener, NULL);
    uv_timer_start(&w->drain, on_drained, DRAIN_MS, 0);
    uv_unref((uv_handle_t *)&w->drain);
}

static void on_master_gone(uv_poll_t *poll, int status, int what)
{
    (void)status;
    (void)what;
    stop(poll->data);
}

static void watch(struct worker *w, int listener, int master)
{
    uv_tcp_init(&w->loop, &w->listener);
    uv_signal_init(&w->loop, &w->term);
    uv_poll_init(&w->loop, &w->master, master);
    uv_timer_init(&w->loop, &w->drain);
    w->listener.data = w->term.data = w->master.data = w->drain.data = w;
    uv_signal_start(&w->term, on_term, SIGTERM);
    uv_poll_start(&w->master, UV_READABLE, on_master_gone);
    uv_unref((uv_handle_t *)&w->term);
    uv_unref((uv_handle_t *)&w->master);
    if (uv_tcp_open(&w->listener, listener) || uv_listen((uv_stream_t *)&w->listener, 128, on_connection))
        must(MILGI_ETRANSPORT, "listen");
}

static void serve(struct milgi_config *config, const char *spec, int listener, int master)
{
    struct worker w = { .config = config };
    struct milgi_device *device = NULL;
    uv_loop_init(&w.loop);
    must(milgi_uv_new(&w.loop, NULL, &w.uv), "engine");
    if (spec) {
        must(milgi_device_new(spec, &device, NULL), spec);
        int index = milgi_engine_add_device(milgi_uv_engine(w.uv), device);
        must(index, spec);
        must(milgi_engine_route(milgi_uv_engine(w.uv), device->caps.ops, (unsigned)index, 0), spec);
    }
    watch(&w, listener, master);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL); /* now there is somebody to hear them */
    uv_run(&w.loop, UV_RUN_DEFAULT);
    stop(&w);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    uv_loop_close(&w.loop);
    milgi_device_free(device);
    milgi_config_unref(config);
}

/* --- the master: no loop, no engine, no device, no thread --------------------------------------------------------- */

struct master {
    const char *chain, *key, *device;
    struct milgi_config *config;
    int listener;
    int life[2]; /* a pipe that nobody writes to: its reading end becomes readable when the master is gone */
    pid_t worker[WORKERS];
};

static struct milgi_config *make_config(const struct master *m)
{
    struct milgi_credential *credential = NULL;
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    int rv = config ? milgi_credential_new_file(m->chain, m->key, &credential) : MILGI_ENOMEM;
    if (!rv)
        rv = milgi_config_add_credential(config, credential);
    if (!rv)
        rv = milgi_config_freeze(config, NULL);
    milgi_credential_unref(credential);
    if (!rv)
        return config;
    fprintf(stderr, "%s, %s: %s\n", m->chain, m->key, milgi_error_text(rv));
    milgi_config_unref(config);
    return NULL;
}

static void start(struct master *m, unsigned i)
{
    fflush(NULL);
    m->worker[i] = fork();
    if (m->worker[i] < 0)
        perror("fork");
    if (m->worker[i])
        return;
    close(m->life[1]);
    signal(SIGHUP, SIG_IGN);
    serve(m->config, m->device, m->listener, m->life[0]);
    close(m->life[0]);
    exit(0);
}

/* A config that cannot be made changes nothing. The new workers begin before the old ones end. */
static void reload(struct master *m)
{
    struct milgi_config *config = make_config(m);
    if (!config)
        return;
    milgi_config_unref(m->config);
    m->config = config;
    for (unsigned i = 0; i < WORKERS; i++) {
        pid_t old = m->worker[i];
        start(m, i);
        if (m->worker[i] > 0 && old > 0)
            kill(old, SIGTERM);
    }
    printf("reloaded\n");
    fflush(stdout);
}

/* Those that were told to end are nobody's any more; for others another one begins. A pause keeps that from a storm. */
static void replace(struct master *m)
{
    pid_t pid;
    int how;
    while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
        for (unsigned i = 0; i < WORKERS; i++) {
            if (m->worker[i] != pid)
                continue;
            fprintf(stderr, "worker %ld has died\n", (long)pid);
            sleep(1);
            start(m, i);
        }
    }
}

static void listen_somewhere(struct master *m)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    m->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (m->listener < 0 || bind(m->listener, (struct sockaddr *)&address, len) || listen(m->listener, 128) ||
        getsockname(m->listener, (struct sockaddr *)&address, &len) || pipe(m->life))
        must(MILGI_ETRANSPORT, strerror(errno));
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

static void end(struct master *m)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (m->worker[i] > 0)
            kill(m->worker[i], SIGTERM);
    while (wait(NULL) > 0 || errno == EINTR) {
    }
    milgi_config_unref(m->config);
}

int main(int argc, char **argv)
{
    struct master m = { 0 };
    sigset_t signals;
    int number = 0;
    if (argc < 3) {
        fprintf(stderr, "example_workers CHAIN.pem KEY.pem [DEVICE]\n");
        return 2;
    }
    m.chain = argv[1];
    m.key = argv[2];
    m.device = argc > 3 ? argv[3] : NULL;
    m.config = make_config(&m);
    if (!m.config)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    /* Blocked, and waited for: a worker unblocks them when it has handlers. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    listen_somewhere(&m);
    for (unsigned i = 0; i < WORKERS; i++)
        start(&m, i);
    while (number != SIGTERM) {
        sigwait(&signals, &number);
        if (number == SIGHUP)
            reload(&m);
        else if (number == SIGCHLD)
            replace(&m);
    }
    end(&m);
    return 0;
}
