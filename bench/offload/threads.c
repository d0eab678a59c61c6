/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL with a thread per connection: it blocks on its socket, and on the device. The threads are there from the
 * start and serve one connection after the other. The device has one queue pair, so they take turns at it, and one more
 * thread waits for it and wakes whoever's signature is back.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "offload.h"

#define STACK (256u * 1024u)

struct server {
    struct scene *scene;
    struct lane lane;
    pthread_mutex_t lock; /* of the lane */
    SSL_CTX *ctx;
    struct worker *workers;
    uint8_t *stacks;
    atomic_bool ended; /* the device gives nothing any more */
};
struct worker {
    struct server *server;
    pthread_t thread;
    int fd;
};

/* An EC_KEY_METHOD knows only the lane. */
static struct server *server_of(struct lane *lane)
{
    return (struct server *)(void *)((char *)lane - offsetof(struct server, lane));
}

static void told(struct signing *signing)
{
    sem_post(signing->arg);
}

static int wait_thread(struct lane *lane, struct signing *signing, const void *digest, size_t len)
{
    struct server *server = server_of(lane);
    sem_t back;

    sem_init(&back, 0, 0);
    signing->told = told;
    signing->arg = &back;
    pthread_mutex_lock(&server->lock);
    bool ended = atomic_load(&server->ended);
    if (!ended)
        lane_sign(lane, signing, digest, len);
    pthread_mutex_unlock(&server->lock);
    while (!ended && sem_wait(&back) != 0)
        ;
    sem_destroy(&back);
    return !ended;
}

static void *serve_one(void *arg)
{
    struct worker *worker = arg;
    struct server *server = worker->server;

    heap_role(ROLE_SERVER);
    while (!atomic_load_explicit(&server->scene->stop, memory_order_relaxed)) {
        SSL *ssl = openssl_new(server->ctx, worker->fd);
        bool done = SSL_do_handshake(ssl) == 1;
        SSL_free(ssl);
        ERR_clear_error();
        if (done)
            answer_done(worker->fd);
        else if (!atomic_load(&server->scene->stop))
            bench_die("threads: a handshake failed");
    }
    return NULL;
}

static void make_blocking(int fd)
{
    int flags = must_system(fcntl(fd, F_GETFL), "fcntl");

    must_system(fcntl(fd, F_SETFL, flags & ~O_NONBLOCK), "fcntl");
}

/* On stacks of our own, so that it can be seen how much of them is in use. */
static void start_workers(struct server *server)
{
    unsigned n = server->scene->n;
    pthread_attr_t attr;

    server->workers = calloc(n, sizeof *server->workers);
    server->stacks = mmap(NULL, (size_t)n * STACK, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (!server->workers || server->stacks == MAP_FAILED)
        bench_die("out of memory");
    madvise(server->stacks, (size_t)n * STACK, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < n; i++) {
        struct worker *worker = &server->workers[i];
        *worker = (struct worker){ .server = server, .fd = server->scene->fd[i] };
        make_blocking(worker->fd);
        pthread_attr_init(&attr);
        pthread_attr_setstack(&attr, server->stacks + (size_t)i * STACK, STACK);
        int error = pthread_create(&worker->thread, &attr, serve_one, worker);
        if (error != 0)
            bench_die("no thread number %u (%d)", i, error);
        pthread_attr_destroy(&attr);
    }
}

static size_t stacks_used(const struct server *server)
{
    size_t len = (size_t)server->scene->n * STACK, page = (size_t)sysconf(_SC_PAGESIZE), used = 0;
    unsigned char *resident = malloc(len / page);

    if (!resident || mincore(server->stacks, len, resident) != 0)
        bench_die("cannot see the stacks");
    for (size_t i = 0; i < len / page; i++)
        used += resident[i] & 1 ? page : 0;
    free(resident);
    return used;
}

/* The device's thread, until it is told to stop. */
static void wait_for_device(struct server *server)
{
    struct pollfd fds[2] = { { server->lane.fd, POLLIN, 0 }, { server->scene->stop_fd, POLLIN, 0 } };
    bool more;

    while (!atomic_load_explicit(&server->scene->stop, memory_order_relaxed)) {
        pthread_mutex_lock(&server->lock);
        lane_poll(&server->lane);
        more = lane_arm(&server->lane);
        pthread_mutex_unlock(&server->lock);
        if (!more && poll(fds, 2, -1) < 0 && errno != EINTR)
            must_system(-1, "poll");
    }
    if (server->scene->gauged)
        server->scene->stacks = stacks_used(server);
    pthread_mutex_lock(&server->lock);
    atomic_store(&server->ended, true);
    lane_end(&server->lane);
    pthread_mutex_unlock(&server->lock);
}

static void serve(struct scene *scene)
{
    struct server server = { .scene = scene };

    lane_open(&server.lane, scene);
    pthread_mutex_init(&server.lock, NULL);
    server.ctx = openssl_context(scene->cert, &server.lane, wait_thread);
    start_workers(&server);
    atomic_store(&scene->ready, true);
    wait_for_device(&server);
    for (unsigned i = 0; i < scene->n; i++)
        shutdown(scene->fd[i], SHUT_RDWR);
    for (unsigned i = 0; i < scene->n; i++)
        pthread_join(server.workers[i].thread, NULL);
    openssl_context_free(server.ctx);
    lane_close(&server.lane);
    munmap(server.stacks, (size_t)scene->n * STACK);
    free(server.workers);
}

const struct design design_threads = {
    .name = "threads",
    .title = "OpenSSL, a thread each",
    .keygen = PRIMITIVE_KEYGEN_OPENSSL,
    .threads = true,
    .fds = 1,
    .serve = serve,
};
