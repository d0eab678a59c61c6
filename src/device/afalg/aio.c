/* SPDX-License-Identifier: Apache-2.0 */
/* Operations by Linux AIO, where io_uring is refused: a message each, and one system call for the reads. */
#include "device/afalg/kernel.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS 32u

struct milgi__ring {
    aio_context_t context;
    int event_fd;
    unsigned put_n, failed_n, inside; /* inside: that the kernel has, or has ended */
    struct iocb *iocb;                /* by index */
    struct iocb **put;                /* to be submitted */
    struct milgi__ring_end *failed;   /* that were never begun */
};

static void aio_close(struct milgi__ring *ring)
{
    if (ring->context)
        (void)syscall(SYS_io_destroy, ring->context);
    if (ring->event_fd >= 0)
        close(ring->event_fd);
    milgi__free(ring->iocb);
    milgi__free(ring->put);
    milgi__free(ring->failed);
    milgi__free(ring);
}

static int set_up(struct milgi__ring *ring, unsigned depth)
{
    if (!ring->iocb || !ring->put || !ring->failed)
        return -ENOMEM;
    ring->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (ring->event_fd < 0 || syscall(SYS_io_setup, (long)depth, &ring->context) != 0)
        return -errno;
    return 0;
}

static int aio_open(unsigned depth, unsigned workers, struct milgi__ring **out)
{
    if (workers > 0)
        return -ENOSYS;
    struct milgi__ring *ring = milgi__alloc(sizeof *ring);
    if (!ring)
        return -ENOMEM;
    ring->event_fd = -1;
    ring->iocb = milgi__alloc(depth * sizeof *ring->iocb);
    ring->put = milgi__alloc(depth * sizeof(struct iocb *));
    ring->failed = milgi__alloc(depth * sizeof *ring->failed);
    int error = set_up(ring, depth);
    if (error != 0) {
        aio_close(ring);
        return error;
    }
    *out = ring;
    return 0;
}

static void fail(struct milgi__ring *ring, uint32_t index, int32_t error)
{
    ring->failed[ring->failed_n++] = (struct milgi__ring_end){ index, error };
}

static void aio_put(struct milgi__ring *ring, uint32_t index, struct milgi__alg_work *work)
{
    ssize_t n = sendmsg(work->fd, &work->message, MSG_DONTWAIT);

    if (n != (ssize_t)work->in_len) {
        fail(ring, index, n < 0 ? -errno : -EIO);
        return;
    }
    struct iocb *iocb = &ring->iocb[index];
    memset(iocb, 0, sizeof *iocb);
    iocb->aio_data = index;
    iocb->aio_lio_opcode = IOCB_CMD_PREADV;
    iocb->aio_fildes = (uint32_t)work->fd;
    iocb->aio_buf = (uintptr_t)work->out;
    iocb->aio_nbytes = work->out_n;
    iocb->aio_flags = IOCB_FLAG_RESFD;
    iocb->aio_resfd = (uint32_t)ring->event_fd;
    ring->put[ring->put_n++] = iocb;
}

static void aio_submit(struct milgi__ring *ring)
{
    for (unsigned at = 0; at < ring->put_n;) {
        long n = syscall(SYS_io_submit, ring->context, (long)(ring->put_n - at), ring->put + at);
        if (n > 0) {
            at += (unsigned)n;
            ring->inside += (unsigned)n;
        } else if (n == 0 || errno == EAGAIN) { /* there is no room: it need not be asked for each */
            while (at < ring->put_n)
                fail(ring, (uint32_t)ring->put[at++]->aio_data, -EAGAIN);
        } else if (errno != EINTR) { /* it is the first that it does not take */
            fail(ring, (uint32_t)ring->put[at++]->aio_data, -errno);
        }
    }
    ring->put_n = 0;
}

static unsigned aio_reap(struct milgi__ring *ring, struct milgi__ring_end *ends, unsigned n)
{
    struct io_event events[EVENTS];
    unsigned got = 0, wanted;
    uint64_t count = 1;
    long some;

    while (got < n && ring->failed_n > 0)
        ends[got++] = ring->failed[--ring->failed_n];
    if (ring->inside == 0 || got == n)
        return got;
    /* First the descriptor, then what it tells of: what ends in between makes it readable again. */
    if (read(ring->event_fd, &count, sizeof count) != (ssize_t)sizeof count)
        return got;
    do {
        wanted = MILGI__MIN(n - got, EVENTS);
        some = syscall(SYS_io_getevents, ring->context, 0L, (long)wanted, events, NULL);
        for (long i = 0; i < some; i++)
            ends[got++] = (struct milgi__ring_end){ (uint32_t)events[i].data, (int32_t)events[i].res };
        ring->inside -= some > 0 ? (unsigned)some : 0;
    } while (some == (long)wanted && got < n);
    count = 1; /* there may be more than were wanted */
    if (ring->inside > 0 && got == n && write(ring->event_fd, &count, sizeof count) < 0)
        return got;
    return got;
}

static int aio_fd(const struct milgi__ring *ring)
{
    return ring->event_fd;
}

const struct milgi__ring_kind milgi__ring_aio = {
    .name = "Linux AIO",
    .open = aio_open,
    .close = aio_close,
    .put = aio_put,
    .submit = aio_submit,
    .reap = aio_reap,
    .fd = aio_fd,
};
