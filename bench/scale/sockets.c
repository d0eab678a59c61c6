/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As many real sockets as the machine holds: a server in a process of its own, in a loop of libuv's, and clients which,
 * once connected, keep nothing but the socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <milgi_pull.h>
#include <milgi_uv.h>

#include "scale.h"

#define PER_ADDRESS 20000u /* connections from each of the addresses 127.0.1.1 ...: ports are scarce */
#define SPARE_FDS 64u
#define LIMIT_BYTES (6.0 * 1024 * 1024 * 1024) /* of the machine's memory that this takes at most */
#define LOOK_EACH 1000u
#define IDLE_S 5u
#define STEADY_S 2u /* from the last handshake until everything has been put in order */

/* What the server says of itself when it is asked, through a pipe. */
struct said {
    unsigned open;
    double resident, cpu_s;
};

/* --- the server ------------------------------------------------------------------------------------------------- */

struct server {
    struct milgi_uv *uv;
    struct milgi_config *config;
    uv_loop_t loop;
    uv_tcp_t tcp;
    uv_pipe_t question;
    int answer;
    unsigned open;
};

static void must(int result, const char *what)
{
    if (result < 0)
        bench_die("%s: %s", what, milgi_error_text(result));
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    ((struct server *)arg)->open++;
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    (void)stream;
    (void)arg;
    (void)slices;
    (void)slices_n;
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    (void)stream;
    (void)reason;
    ((struct server *)arg)->open--;
}

static const struct milgi_stream_events events = { .on_open = on_open, .on_data = on_data, .on_close = on_close };

static void on_connection(uv_stream_t *tcp, int status)
{
    struct server *server = tcp->data;
    struct milgi_stream *stream;

    if (status == 0)
        must(milgi_uv_accept(server->uv, tcp, server->config, &events, server, &stream), "accept");
}

static double cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char byte;

    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(&byte, 1);
}

static void on_question(uv_stream_t *pipe, ssize_t len, const uv_buf_t *buf)
{
    struct server *server = pipe->data;
    const struct said said = { server->open, resident_bytes(), cpu_seconds() };

    (void)buf;
    if (len == 0) /* nothing after all */
        return;
    if (len < 0 || write(server->answer, &said, sizeof said) != sizeof said)
        _exit(0); /* what the kernel has of so many sockets goes with the process */
}

static struct milgi_config *config(enum milgi_role role, const struct bench_cert *cert)
{
    struct milgi_config *c = milgi_config_new(role);
    struct milgi_credential *credential;

    if (!c)
        bench_die("out of memory");
    if (role == MILGI_SERVER) {
        must(milgi_credential_new_pem(cert->cert_pem, cert->cert_len, cert->key_pem, cert->key_len, &credential),
            "credential");
        must(milgi_config_add_credential(c, credential), "credential");
        milgi_credential_unref(credential);
    } else {
        must(milgi_config_dangerously_accept_any_server(c), "trust");
    }
    must(milgi_config_freeze(c, NULL), "config");
    return c;
}

static _Noreturn void serve(const struct bench_cert *cert, int listener, int question, int answer)
{
    struct server server = { .config = config(MILGI_SERVER, cert), .answer = answer };

    uv_loop_init(&server.loop);
    must(milgi_uv_new(&server.loop, NULL, &server.uv), "loop");
    uv_tcp_init(&server.loop, &server.tcp);
    uv_pipe_init(&server.loop, &server.question, 0);
    server.tcp.data = server.question.data = &server;
    if (uv_tcp_open(&server.tcp, listener) || uv_listen((uv_stream_t *)&server.tcp, 1024, on_connection) ||
        uv_pipe_open(&server.question, question) ||
        uv_read_start((uv_stream_t *)&server.question, on_alloc, on_question))
        bench_die("the server cannot listen");
    uv_run(&server.loop, UV_RUN_DEFAULT);
    _exit(0);
}

struct child {
    pid_t pid;
    int question, answer;
    struct sockaddr_in address;
};

static struct child child_new(const struct bench_cert *cert)
{
    struct child child = { .address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } } };
    socklen_t len = sizeof child.address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), question[2], answer[2];

    if (listener < 0 || bind(listener, (struct sockaddr *)&child.address, len) != 0 ||
        getsockname(listener, (struct sockaddr *)&child.address, &len) != 0 || pipe(question) != 0 || pipe(answer) != 0)
        bench_die("no socket");
    child.pid = fork();
    if (child.pid < 0)
        bench_die("no process");
    if (child.pid == 0) {
        close(question[1]);
        close(answer[0]);
        serve(cert, listener, question[0], answer[1]);
    }
    close(listener);
    close(question[0]);
    close(answer[1]);
    child.question = question[1];
    child.answer = answer[0];
    return child;
}

static struct said ask(const struct child *child)
{
    struct said said;

    if (write(child->question, "?", 1) != 1 || read(child->answer, &said, sizeof said) != sizeof said)
        bench_die("the server of the sockets has gone");
    return said;
}

/* --- the clients ------------------------------------------------------------------------------------------------ */

/* A line of /proc/meminfo, in bytes. */
static double memory_of(const char *name)
{
    char line[128];
    double kib = 0;
    size_t len = strlen(name);
    FILE *file = fopen("/proc/meminfo", "r");

    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, len) == 0 && line[len] == ':' && sscanf(line + len + 1, "%lf", &kib) == 1)
            break;
    }
    if (file)
        fclose(file);
    return kib * 1024;
}

/* How many descriptors a process may have, after asking for |n|. */
static unsigned descriptors(unsigned n)
{
    struct rlimit limit = { n, n };

    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < n ? (unsigned)limit.rlim_cur : n;
}

/* A connected socket whose TLS state has been dropped, or -1 with errno. */
static int client(struct milgi_engine *engine, struct milgi_config *config, const struct child *child, unsigned i)
{
    const struct sockaddr_in from = { .sin_family = AF_INET,
        .sin_addr = { htonl(INADDR_LOOPBACK + 256 + i / PER_ADDRESS) } };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct milgi_pull *pull;

    if (fd < 0)
        return -1;
    /* The port is chosen when it connects: then it need only be free for this peer. */
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (const struct sockaddr *)&child->address, sizeof child->address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    must(milgi_pull_new(engine, config, "localhost", fd, NULL, &pull), "client");
    must(milgi_pull_handshake(pull), "handshake");
    milgi_pull_free(pull);
    return fd;
}

/* Until |s->n| are there, or something is short. */
static void connect_all(struct sockets *s, const struct child *child, int *fds)
{
    struct milgi_config *c = config(MILGI_CLIENT, NULL);
    struct milgi_engine *engine;
    double before = memory_of("MemAvailable");
    unsigned n = s->n;

    must(milgi_engine_new(NULL, &engine), "engine");
    for (s->n = 0; s->n < n; s->n++) {
        if (s->n % LOOK_EACH == 0 && before - memory_of("MemAvailable") > LIMIT_BYTES) {
            s->bounded_by = "memory";
            break;
        }
        fds[s->n] = client(engine, c, child, s->n);
        if (fds[s->n] < 0) {
            s->bounded_by = strerror(errno);
            break;
        }
    }
    milgi_engine_free(engine);
    milgi_config_unref(c);
}

struct sockets sockets_measure(const struct bench_cert *cert, unsigned n)
{
    struct sockets s = { .asked = n, .bounded_by = "as many as were asked for" };
    unsigned most = descriptors(n + SPARE_FDS) - SPARE_FDS;
    int *fds = malloc(n * sizeof *fds);
    struct child child = child_new(cert);
    struct said before = ask(&child), after, later;
    double slab = memory_of("Slab");

    if (!fds)
        bench_die("out of memory");
    s.n = most < n ? most : n;
    if (most < n)
        s.bounded_by = "the number of descriptors that a process may have";
    connect_all(&s, &child, fds);
    sleep(STEADY_S);
    after = ask(&child);
    sleep(IDLE_S);
    later = ask(&child);
    if (after.open != s.n)
        bench_die("%u of %u connections are there", after.open, s.n);
    s.resident = (after.resident - before.resident) / s.n;
    s.kernel = (memory_of("Slab") - slab) / s.n;
    s.idle_cpu = (later.cpu_s - after.cpu_s) / IDLE_S;
    kill(child.pid, SIGKILL);
    (void)waitpid(child.pid, NULL, 0);
    for (unsigned i = 0; i < s.n; i++)
        close(fds[i]);
    free(fds);
    close(child.question);
    close(child.answer);
    return s;
}
