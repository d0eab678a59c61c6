/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations by io_uring: for each a message linked to its read, and one system call for all that are put together. The
 * read is a READV and no RECVMSG, for which the kernel would wait until a cipher that takes time has done it. By system
 * calls alone: no library is needed for so little of it.
 */
#include "device/afalg/kernel.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOWQ_WORKERS 19u /* IORING_REGISTER_IOWQ_MAX_WORKERS */
#define WANTED (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE)

typedef _Atomic uint32_t shared; /* with the kernel */

struct milgi__ring {
    int fd;
    bool workers;
    void *rings, *entries;
    size_t rings_len, entries_len;
    const shared *sq_head;
    shared *sq_tail;
    uint32_t *sq_array, sq_mask, tail;
    struct io_uring_sqe *sqe;
    shared *cq_head;
    const shared *cq_tail;
    uint32_t cq_mask;
    const struct io_uring_cqe *cqe;
    unsigned failed_n;
    struct milgi__alg_work **work;  /* by index */
    struct milgi__ring_end *failed; /* that were never begun */
};

static void uring_close(struct milgi__ring *ring)
{
    if (ring->entries)
        munmap(ring->entries, ring->entries_len);
    if (ring->rings)
        munmap(ring->rings, ring->rings_len);
    if (ring->fd >= 0)
        close(ring->fd);
    milgi__free(ring->work);
    milgi__free(ring->failed);
    milgi__free(ring);
}

static void *map(const struct milgi__ring *ring, size_t len, off_t at)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, at);

    return p == MAP_FAILED ? NULL : p;
}

static bool map_all(struct milgi__ring *ring, const struct io_uring_params *p)
{
    size_t sq = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
    size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

    ring->rings_len = MILGI__MAX(sq, cq);
    ring->entries_len = p->sq_entries * sizeof(struct io_uring_sqe);
    ring->rings = map(ring, ring->rings_len, IORING_OFF_SQ_RING);
    ring->entries = map(ring, ring->entries_len, (off_t)IORING_OFF_SQES);
    if (!ring->rings || !ring->entries)
        return false;
    uint8_t *base = ring->rings;
    ring->sq_head = (const shared *)(void *)(base + p->sq_off.head);
    ring->sq_tail = (shared *)(void *)(base + p->sq_off.tail);
    ring->sq_array = (uint32_t *)(void *)(base + p->sq_off.array);
    ring->sq_mask = *(const uint32_t *)(const void *)(base + p->sq_off.ring_mask);
    ring->sqe = ring->entries;
    ring->cq_head = (shared *)(void *)(base + p->cq_off.head);
    ring->cq_tail = (const shared *)(const void *)(base + p->cq_off.tail);
    ring->cq_mask = *(const uint32_t *)(const void *)(base + p->cq_off.ring_mask);
    ring->cqe = (const struct io_uring_cqe *)(const void *)(base + p->cq_off.cqes);
    ring->tail = atomic_load(ring->sq_tail);
    return true;
}

static int set_up(struct milgi__ring *ring, unsigned depth, unsigned workers)
{
    struct io_uring_params params = { 0 };
    unsigned limits[2] = { workers, workers };

    ring->fd = (int)syscall(SYS_io_uring_setup, 2 * depth, &params);
    if (ring->fd < 0)
        return -errno;
    if ((params.features & WANTED) != WANTED)
        return -ENOSYS;
    if (!map_all(ring, &params))
        return -ENOMEM;
    if (workers > 0 && syscall(SYS_io_uring_register, ring->fd, IOWQ_WORKERS, limits, 2) != 0)
        return -errno;
    ring->workers = workers > 0;
    return 0;
}

static int uring_open(unsigned depth, unsigned workers, struct milgi__ring **out)
{
    struct milgi__ring *ring = milgi__alloc(sizeof *ring);

    if (!ring)
        return -ENOMEM;
    ring->fd = -1;
    ring->work = milgi__alloc(depth * sizeof(struct milgi__alg_work *));
    ring->failed = milgi__alloc(depth * sizeof *ring->failed);
    int error = !ring->work || !ring->failed ? -ENOMEM : set_up(ring, depth, workers);
    if (error != 0) {
        uring_close(ring);
        return error;
    }
    *out = ring;
    return 0;
}

static struct io_uring_sqe *entry(struct milgi__ring *ring, int fd, uint8_t opcode, uint64_t data)
{
    uint32_t at = ring->tail++ & ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->sqe[at];

    ring->sq_array[at] = at;
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->user_data = data;
    return sqe;
}

static void fail(struct milgi__ring *ring, uint32_t index, int32_t error)
{
    ring->failed[ring->failed_n++] = (struct milgi__ring_end){ index, error };
}

/* What the kernel's workers are to do is sent here: a link would bring its second half back to this thread. */
static bool send_now(struct milgi__ring *ring, uint32_t index, struct milgi__alg_work *work)
{
    ssize_t n = sendmsg(work->fd, &work->message, MSG_DONTWAIT);

    if (n == (ssize_t)work->in_len)
        return true;
    fail(ring, index, n < 0 ? -errno : -EIO);
    return false;
}

static void uring_put(struct milgi__ring *ring, uint32_t index, struct milgi__alg_work *work)
{
    uint64_t data = (uint64_t)index << 1;
    struct io_uring_sqe *sqe;

    work->sent = work->alone = 0;
    ring->work[index] = work;
    if (ring->workers && !send_now(ring, index, work))
        return;
    if (!ring->workers) {
        sqe = entry(ring, work->fd, IORING_OP_SENDMSG, data);
        sqe->addr = (uintptr_t)&work->message;
        sqe->len = 1;
        sqe->msg_flags = MSG_WAITALL; /* less than all breaks the link */
        sqe->flags = IOSQE_IO_LINK;
    }
    sqe = entry(ring, work->fd, IORING_OP_READV, data | 1);
    sqe->addr = (uintptr_t)work->out;
    sqe->len = work->out_n;
    sqe->flags = ring->workers ? IOSQE_ASYNC : 0;
}

/*
 * The kernel does not take them now: what it has not seen is taken back. Of a pair that it has seen half of the message
 * is under way, and has the op until it has ended.
 */
static void take_back(struct milgi__ring *ring, int32_t error)
{
    uint32_t head = atomic_load_explicit(ring->sq_head, memory_order_acquire);

    for (uint32_t at = head; at != ring->tail; at++) {
        uint64_t data = ring->sqe[at & ring->sq_mask].user_data;
        bool is_half = at == head && !ring->workers;
        if ((data & 1) && is_half)
            ring->work[data >> 1]->alone = error;
        else if (data & 1)
            fail(ring, (uint32_t)(data >> 1), error);
    }
    ring->tail = head;
    atomic_store_explicit(ring->sq_tail, head, memory_order_release);
}

static void uring_submit(struct milgi__ring *ring)
{
    atomic_store_explicit(ring->sq_tail, ring->tail, memory_order_release);
    for (;;) {
        uint32_t left = ring->tail - atomic_load_explicit(ring->sq_head, memory_order_acquire);
        if (left == 0)
            return;
        long n = syscall(SYS_io_uring_enter, ring->fd, left, 0, 0, NULL, 0);
        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        take_back(ring, n < 0 ? -errno : -EAGAIN);
        return;
    }
}

/* False: it was a message's, and its read comes after it. */
static bool ended(const struct milgi__ring *ring, const struct io_uring_cqe *cqe, struct milgi__ring_end *end)
{
    struct milgi__alg_work *work = ring->work[cqe->user_data >> 1];

    end->index = (uint32_t)(cqe->user_data >> 1);
    if ((cqe->user_data & 1) == 0) {
        if (cqe->res != (int32_t)work->in_len)
            work->sent = cqe->res < 0 ? cqe->res : -EIO;
        end->result = work->alone;
        return work->alone != 0;
    }
    end->result = cqe->res == -ECANCELED && work->sent != 0 ? work->sent : cqe->res;
    return true;
}

static unsigned uring_reap(struct milgi__ring *ring, struct milgi__ring_end *ends, unsigned n)
{
    unsigned got = 0;

    while (got < n && ring->failed_n > 0)
        ends[got++] = ring->failed[--ring->failed_n];
    uint32_t head = atomic_load_explicit(ring->cq_head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(ring->cq_tail, memory_order_acquire);
    while (got < n && head != tail)
        got += ended(ring, &ring->cqe[head++ & ring->cq_mask], &ends[got]);
    atomic_store_explicit(ring->cq_head, head, memory_order_release);
    return got;
}

static int uring_fd(const struct milgi__ring *ring)
{
    return ring->fd;
}

const struct milgi__ring_kind milgi__ring_uring = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .put = uring_put,
    .submit = uring_submit,
    .reap = uring_reap,
    .fd = uring_fd,
};
