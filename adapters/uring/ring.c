/* SPDX-License-Identifier: Apache-2.0 */
/* The ring as a loop, and the chunks that the kernel fills. */
#include "ring.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ENTRIES 256u
#define COMPLETIONS 4096u
#define AT_ONCE 1024u /* completions, before what they brought is looked at */
#define NS_PER_S 1000000000u
#define NS_PER_MS 1000000u
#define GROUP 0
#define SPARE 4u /* buffers more than two for each socket */

/* --- operations -------------------------------------------------------------------------------------------------- */

/*
 * All entries, at once: none stays behind for later, when what it names may be gone. That completions overflow (-EBUSY)
 * is not in the way: the kernel takes entries first, and keeps what does not fit (IORING_FEAT_NODROP). What is left are
 * errors of the whole ring, as of a call by another thread, for which nothing is ever submitted.
 */
static void submit(struct milgi_uring *u)
{
    int rv;
    do
        rv = io_uring_submit(&u->ring);
    while (io_uring_sq_ready(&u->ring) &&
        (rv >= 0 || rv == -EAGAIN || rv == -EINTR || rv == -ENOMEM || rv == -EBUSY));
}

struct io_uring_sqe *milgi__ring_sqe(struct milgi_uring *u, struct ring_op *op)
{
    if (!io_uring_sq_space_left(&u->ring))
        submit(u);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, op);
    if (op)
        u->in_flight++;
    return sqe;
}

/* In a child of fork(), where the ring is still its maker's: what is put into it would be the parent's to submit. */
static bool is_foreign(const struct milgi_uring *u)
{
    return milgi_engine_fd(u->common.engine) < 0;
}

/* Entries are begun in their order: what is made later, perhaps in the same place, is not what this ends. */
void milgi__ring_cancel(struct milgi_uring *u, struct ring_op *op)
{
    if (is_foreign(u))
        return;
    struct io_uring_sqe *sqe = milgi__ring_sqe(u, NULL);
    io_uring_prep_cancel(sqe, op, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
}

/* --- buffers ----------------------------------------------------------------------------------------------------- */

struct milgi_chunk *milgi__ring_buffer(struct milgi_uring *u, unsigned flags)
{
    if (!(flags & IORING_CQE_F_BUFFER))
        return NULL;
    unsigned id = flags >> IORING_CQE_BUFFER_SHIFT;
    struct milgi_chunk *chunk = u->chunk[id];
    u->chunk[id] = NULL;
    u->empty[u->empty_n++] = (uint16_t)id;
    return chunk;
}

/* Not before somebody reads: the engine may get a device's memory first. */
bool milgi__ring_refill(struct milgi_uring *u)
{
    unsigned wanted = 2 * u->sockets_n + SPARE, added = 0;
    wanted = wanted < RING_BUFFERS ? wanted : RING_BUFFERS;
    while (RING_BUFFERS - u->empty_n < wanted) {
        struct milgi_chunk *chunk = milgi_chunk_new(u->common.engine, RING_BUFFER_SIZE);
        if (!chunk)
            break;
        uint16_t id = u->empty[--u->empty_n];
        u->chunk[id] = chunk;
        io_uring_buf_ring_add(u->buffers, milgi_chunk_data(chunk), RING_BUFFER_SIZE, id,
            io_uring_buf_ring_mask(RING_BUFFERS), (int)added++);
    }
    if (added)
        io_uring_buf_ring_advance(u->buffers, (int)added);
    return u->empty_n < RING_BUFFERS;
}

/* Nobody is left for whom the kernel could fill one: it sees none once the end of the ring is where it is itself. */
void milgi__ring_give_back(struct milgi_uring *u)
{
    io_uring_buf_ring_advance(u->buffers, (int)u->empty_n - (int)RING_BUFFERS);
    for (unsigned i = 0; i < RING_BUFFERS; i++) {
        if (!u->chunk[i])
            continue;
        milgi_chunk_unref(u->chunk[i]);
        u->chunk[i] = NULL;
        u->empty[u->empty_n++] = (uint16_t)i;
    }
}

static int make_buffers(struct milgi_uring *u)
{
    size_t size = RING_BUFFERS * sizeof(struct io_uring_buf);
    void *memory = NULL;
    if (posix_memalign(&memory, 4096, size))
        return -ENOMEM;
    u->buffers = memory;
    io_uring_buf_ring_init(u->buffers);
    for (unsigned i = 0; i < RING_BUFFERS; i++)
        u->empty[u->empty_n++] = (uint16_t)i;
    struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)memory, .ring_entries = RING_BUFFERS, .bgid = GROUP };
    return io_uring_register_buf_ring(&u->ring, &reg, 0);
}

/* --- the loop's own operations ----------------------------------------------------------------------------------- */

static void on_wake(struct ring_op *op, int res, unsigned flags)
{
    eventfd_t value;
    (void)res;
    (void)flags;
    op->uring->wake_armed = false;
    eventfd_read(op->uring->wake_fd, &value);
}

static void on_engine(struct ring_op *op, int res, unsigned flags)
{
    (void)res;
    (void)flags;
    op->uring->engine_armed = false;
    op->uring->turn = true;
}

static void on_timer(struct ring_op *op, int res, unsigned flags)
{
    struct milgi_uring *u = op->uring;
    (void)flags;
    u->timer_armed = false;
    if (res != -ETIME || u->common.stopping || milgi__loop_now(&u->common) < u->timer_due)
        return;
    u->timer_due = UINT64_MAX;
    milgi__loop_timer(&u->common);
}

/* It has ended before it could be changed: on_timer() is about to be called. */
static void on_timer_update(struct ring_op *op, int res, unsigned flags)
{
    (void)op;
    (void)res;
    (void)flags;
}

static void poll_for_input(struct milgi_uring *u, struct ring_op *op, int fd, bool *armed)
{
    if (*armed)
        return;
    io_uring_prep_poll_add(milgi__ring_sqe(u, op), fd, POLLIN);
    *armed = true;
}

/* The kernel's timer is moved only to be sooner: where it comes too soon it is set again. */
static bool timer_is_late(const struct milgi_uring *u)
{
    return u->timer_due != UINT64_MAX && (!u->timer_armed || u->timer_due < u->timer_set);
}

static void set_timer(struct milgi_uring *u)
{
    uint64_t now = milgi__loop_now(&u->common), left = u->timer_due > now ? u->timer_due - now : 1;
    u->timer_ts = (struct __kernel_timespec){ (int64_t)(left / NS_PER_S), (long long)(left % NS_PER_S) };
    u->timer_set = u->timer_due;
    if (u->timer_armed)
        io_uring_prep_timeout_update(milgi__ring_sqe(u, &u->timer_update), &u->timer_ts, (uintptr_t)&u->timer, 0);
    else
        io_uring_prep_timeout(milgi__ring_sqe(u, &u->timer), &u->timer_ts, 0, 0);
    u->timer_armed = true;
}

static void cancel_own(struct milgi_uring *u)
{
    if (u->cancelled)
        return;
    u->cancelled = true;
    milgi__ring_cancel(u, &u->wake);
    milgi__ring_cancel(u, &u->engine);
    milgi__ring_cancel(u, &u->timer);
    if (u->watched)
        milgi__ring_cancel(u, &u->watch);
}

static void on_watched(struct ring_op *op, int res, unsigned flags)
{
    struct milgi_uring *u = op->uring;
    (void)flags;
    u->watch_armed = false;
    if (res > 0 && !u->common.stopping)
        u->watched(u->watched_arg);
}

void milgi_uring_watch(
    struct milgi_uring *u, int fd, void (*awake)(void *arg), void (*readable)(void *arg), void *arg)
{
    u->watch = (struct ring_op){ on_watched, u };
    u->awake = awake;
    u->watched = readable;
    u->watched_arg = arg;
    u->watched_fd = fd;
}

static void prepare(struct milgi_uring *u)
{
    milgi__ring_listeners_flush(u);
    if (u->common.stopping) {
        cancel_own(u);
        return;
    }
    poll_for_input(u, &u->wake, u->wake_fd, &u->wake_armed);
    poll_for_input(u, &u->engine, milgi_engine_fd(u->common.engine), &u->engine_armed);
    if (u->watched)
        poll_for_input(u, &u->watch, u->watched_fd, &u->watch_armed);
    if (timer_is_late(u))
        set_timer(u);
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

/* Submits, and waits for a completion; a signal is one. */
static void enter(struct milgi_uring *u, int timeout_ms)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts = { timeout_ms / 1000, (timeout_ms % 1000) * (long long)NS_PER_MS };
    if (!timeout_ms || u->dirty_first || u->turn)
        io_uring_submit_and_get_events(&u->ring);
    else
        io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, timeout_ms < 0 ? NULL : &ts, NULL);
    if (io_uring_sq_ready(&u->ring))
        submit(u);
}

static void reap(struct milgi_uring *u)
{
    struct io_uring_cqe *cqe;
    for (unsigned i = 0; i < AT_ONCE && !io_uring_peek_cqe(&u->ring, &cqe); i++) {
        struct ring_op *op = io_uring_cqe_get_data(cqe);
        unsigned flags = cqe->flags;
        int res = cqe->res;
        io_uring_cqe_seen(&u->ring, cqe);
        if (!op)
            continue;
        if (!(flags & IORING_CQE_F_MORE))
            u->in_flight--;
        op->done(op, res, flags);
    }
}

static void release(struct milgi_uring *u)
{
    io_uring_queue_exit(&u->ring);
    for (unsigned i = 0; i < RING_BUFFERS; i++)
        milgi_chunk_unref(u->chunk[i]);
    free(u->buffers);
    milgi_engine_free(u->common.engine);
    close(u->wake_fd);
}

/* Nobody will be told of anything any more. */
static bool is_over(const struct milgi_uring *u)
{
    return u->common.stopping && !u->sockets_n && !u->listeners_n && !u->in_flight;
}

int milgi_uring_run(struct milgi_uring *u, int timeout_ms)
{
    if (is_foreign(u))
        return MILGI_EFORK;
    bool told = milgi__ring_sockets_tell(u); /* who was may want something else than to wait */
    milgi__ring_sockets_flush(u);
    prepare(u);
    enter(u, told || is_over(u) ? 0 : timeout_ms);
    if (u->awake)
        u->awake(u->watched_arg);
    reap(u);
    if (u->turn) {
        u->turn = false;
        milgi__loop_turn(&u->common);
    }
    if (!u->common.stopping)
        return u->common.streams_n || u->listeners_n;
    if (!is_over(u))
        return 1;
    release(u);
    if (u->stopped)
        u->stopped(u->stopped_arg);
    free(u);
    return MILGI_ECLOSED;
}

void milgi_uring_wake(struct milgi_uring *u)
{
    int error = errno;
    if (!is_foreign(u))
        eventfd_write(u->wake_fd, 1);
    errno = error;
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

/* What these flags ask for came with Linux 6.1, and all else that is used here before. */
static int make_ring(struct milgi_uring *u)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
            IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
        .cq_entries = COMPLETIONS,
    };
    int rv = io_uring_queue_init_params(ENTRIES, &u->ring, &params);
    if (rv)
        return rv;
    rv = make_buffers(u);
    u->wake_fd = rv ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!rv && u->wake_fd < 0)
        rv = -errno;
    if (!rv)
        return 0;
    io_uring_queue_exit(&u->ring);
    free(u->buffers);
    return rv;
}

int milgi__ring_init(
    struct milgi_uring *u, const struct milgi_loop_hooks *hooks, const struct milgi_stream_options *options)
{
    u->timer_due = UINT64_MAX;
    u->wake = (struct ring_op){ on_wake, u };
    u->engine = (struct ring_op){ on_engine, u };
    u->timer = (struct ring_op){ on_timer, u };
    u->timer_update = (struct ring_op){ on_timer_update, u };
    int rv = make_ring(u);
    if (rv) {
        errno = -rv;
        return MILGI_EUNSUPPORTED;
    }
    rv = milgi__loop_init(&u->common, hooks, options);
    if (!rv)
        return 0;
    release(u);
    return rv;
}
