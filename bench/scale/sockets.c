/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As many real sockets as the machine holds: servers in processes of their own, each in a loop of libuv's, and clients
 * which, once connected, keep nothing but the socket. As many of both as it takes with the descriptors that a process
 * may have.
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
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < n) {
        limit.rlim_cur = n;
        limit.rlim_max = limit.rlim_max < n ? n : limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < n && limit.rlim_cur < limit.rlim_max) { /* more than the hard limit is not to be had */
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
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

/* --- a process of clients, and its server ------------------------------------------------------------------------- */

#define BY_MEMORY (-1)

static double available; /* memory, when the first one began */

/* What it tells, once when its connections are there and once when they have been idle. */
struct group_says {
    unsigned n;
    int short_of; /* BY_MEMORY, or an errno; 0: nothing */
    double resident, idle_cpu;
};

struct group {
    pid_t pid;
    int go, says;
};

/* Until |n| are there, or something is short. */
static void connect_all(struct group_says *says, unsigned n, const struct child *child)
{
    struct milgi_config *c = config(MILGI_CLIENT, NULL);
    struct milgi_engine *engine;

    must(milgi_engine_new(NULL, &engine), "engine");
    for (; says->n < n; says->n++) {
        if (says->n % LOOK_EACH == 0 && available - memory_of("MemAvailable") > LIMIT_BYTES)
            says->short_of = BY_MEMORY;
        else if (client(engine, c, child, says->n) < 0)
            says->short_of = errno;
        if (says->short_of != 0)
            break;
    }
    milgi_engine_free(engine);
    milgi_config_unref(c);
}

static void tell(int fd, const struct group_says *says)
{
    if (write(fd, says, sizeof *says) != sizeof *says)
        _exit(2);
}

/* Its sockets are closed by its end. */
static _Noreturn void group_run(const struct bench_cert *cert, unsigned n, int go, int fd)
{
    struct group_says says = { .n = 0 };
    struct child child = child_new(cert);
    struct said before = ask(&child), after, later;
    char byte;

    connect_all(&says, n, &child);
    tell(fd, &says);
    (void)!read(go, &byte, 1);
    after = ask(&child);
    sleep(IDLE_S);
    later = ask(&child);
    if (after.open != says.n)
        bench_die("%u of %u connections are there", after.open, says.n);
    says.resident = after.resident - before.resident;
    says.idle_cpu = (later.cpu_s - after.cpu_s) / IDLE_S;
    tell(fd, &says);
    (void)!read(go, &byte, 1);
    kill(child.pid, SIGKILL);
    (void)waitpid(child.pid, NULL, 0);
    _exit(0);
}

static struct group group_new(const struct bench_cert *cert, unsigned n)
{
    int go[2], says[2];

    if (pipe(go) != 0 || pipe(says) != 0)
        bench_die("no pipe");
    fflush(stdout);
    struct group group = { .pid = fork(), .go = go[1], .says = says[0] };
    if (group.pid < 0)
        bench_die("no process");
    if (group.pid == 0) {
        close(go[1]);
        close(says[0]);
        group_run(cert, n, go[0], says[1]);
    }
    close(go[0]);
    close(says[1]);
    return group;
}

static struct group_says heard(const struct group *group)
{
    struct group_says says;

    if (read(group->says, &says, sizeof says) != sizeof says)
        bench_die("a process of the sockets has gone");
    return says;
}

static void go_on(const struct group *group)
{
    if (write(group->go, "!", 1) != 1)
        bench_die("a process of the sockets has gone");
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static const char *name_of(int short_of)
{
    if (short_of == 0)
        return "as many as were asked for";
    return short_of == BY_MEMORY ? "memory: no more was to be taken" : strerror(short_of);
}

struct sockets sockets_measure(const struct bench_cert *cert, unsigned n)
{
    unsigned most = descriptors(n + SPARE_FDS) - SPARE_FDS, groups_n = (n + most - 1) / most;
    struct sockets s = { .asked = n, .processes = groups_n, .bounded_by = name_of(0) };
    struct group *groups = calloc(groups_n, sizeof *groups);
    double slab = memory_of("Slab");

    available = memory_of("MemAvailable");
    if (!groups)
        bench_die("out of memory");
    /* One after the other, so that the last one sees what the others have taken. */
    for (unsigned i = 0; i < groups_n; i++) {
        groups[i] = group_new(cert, n / groups_n + (i < n % groups_n));
        struct group_says says = heard(&groups[i]);
        s.n += says.n;
        s.bounded_by = says.short_of ? name_of(says.short_of) : s.bounded_by;
    }
    sleep(STEADY_S);
    s.kernel = (memory_of("Slab") - slab) / s.n;
    for (unsigned i = 0; i < groups_n; i++)
        go_on(&groups[i]);
    for (unsigned i = 0; i < groups_n; i++) {
        struct group_says says = heard(&groups[i]);
        s.resident += says.resident / s.n;
        s.idle_cpu += says.idle_cpu;
    }
    for (unsigned i = 0; i < groups_n; i++) {
        go_on(&groups[i]);
        (void)waitpid(groups[i].pid, NULL, 0);
        close(groups[i].go);
        close(groups[i].says);
    }
    free(groups);
    return s;
}
