/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device afalg stands on: its rings, io_uring and Linux AIO, over a kernel that takes less than it is given,
 * as kernels do whose memory runs out; what is read of the kernel's list; the process's limits.
 *
 * ctest-wrap: syscall
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/afalg/drivers.h"
#include "device/afalg/kernel.h"

#define ENTRIES 16u
#define DEPTH 4u

/* An io_uring that is a file: its rings, and its entries where they are mapped. */
struct rings {
    _Atomic uint32_t sq_head, sq_tail, cq_head, cq_tail;
    uint32_t sq_mask, cq_mask, sq_array[ENTRIES];
    struct io_uring_cqe cqe[ENTRIES];
};

static struct {
    int fd;
    struct rings *rings;
    const struct io_uring_sqe *sqe;
    unsigned takes; /* so many that it is given, */
    int refuses;    /* and then says this */
    unsigned calls;
} kernel;

/* --- its calls ---------------------------------------------------------------------------------------------------- */

static long set_up(struct io_uring_params *params)
{
    int fd = memfd_create("rings", MFD_CLOEXEC);
    size_t sqes = ENTRIES * sizeof(struct io_uring_sqe);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)(IORING_OFF_SQES + sqes)), 0);
    kernel.fd = dup(fd);
    kernel.rings = mmap(NULL, sizeof *kernel.rings, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    kernel.sqe = mmap(NULL, sqes, PROT_READ, MAP_SHARED, fd, (off_t)IORING_OFF_SQES);
    assert_true(kernel.rings != MAP_FAILED && kernel.sqe != MAP_FAILED);
    kernel.rings->sq_mask = kernel.rings->cq_mask = ENTRIES - 1;
    params->features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE;
    params->sq_entries = params->cq_entries = ENTRIES;
    params->sq_off.head = offsetof(struct rings, sq_head);
    params->sq_off.tail = offsetof(struct rings, sq_tail);
    params->sq_off.ring_mask = offsetof(struct rings, sq_mask);
    params->sq_off.array = offsetof(struct rings, sq_array);
    params->cq_off.head = offsetof(struct rings, cq_head);
    params->cq_off.tail = offsetof(struct rings, cq_tail);
    params->cq_off.ring_mask = offsetof(struct rings, cq_mask);
    params->cq_off.cqes = offsetof(struct rings, cqe);
    return fd;
}

static long refused(int error)
{
    errno = error;
    return -1;
}

static long take(unsigned wanted)
{
    unsigned n = MILGI__MIN(wanted, kernel.takes);

    kernel.calls++;
    kernel.takes -= n;
    if (kernel.rings)
        kernel.rings->sq_head += n;
    return n > 0 ? (long)n : refused(kernel.refuses);
}

long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
    va_list args;
    long rv = 0; /* io_setup, io_destroy */

    va_start(args, number);
    if (number == SYS_io_submit)
        (void)va_arg(args, aio_context_t);
    else
        (void)va_arg(args, int);
    if (number == SYS_io_uring_setup)
        rv = set_up(va_arg(args, struct io_uring_params *));
    else if (number == SYS_io_uring_enter)
        rv = take(va_arg(args, uint32_t));
    else if (number == SYS_io_submit)
        rv = take((unsigned)va_arg(args, long));
    va_end(args);
    return rv;
}

static void ends(uint64_t user_data, int32_t result)
{
    uint32_t at = kernel.rings->cq_tail & (ENTRIES - 1);

    kernel.rings->cqe[at] = (struct io_uring_cqe){ .user_data = user_data, .res = result };
    kernel.rings->cq_tail++;
}

/* --- the tests ---------------------------------------------------------------------------------------------------- */

static struct milgi__ring *ring;
static const struct milgi__ring_kind *kind;
static struct milgi__alg_work work[DEPTH];
static uint8_t bytes[100];
static struct iovec piece = { bytes, sizeof bytes };
static int pair[2];

static void begin(const struct milgi__ring_kind *which)
{
    memset(&kernel, 0, sizeof kernel);
    kind = which;
    assert_int_equal(kind->open(DEPTH, 0, &ring), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (unsigned i = 0; i < DEPTH; i++)
        work[i] = (struct milgi__alg_work){
            .fd = pair[0],
            .in_len = sizeof bytes,
            .out = &piece,
            .out_n = 1,
            .message = { .msg_iov = &piece, .msg_iovlen = 1 },
        };
}

static void end(void)
{
    kind->close(ring);
    close(pair[0]);
    close(pair[1]);
    if (!kernel.rings)
        return;
    munmap(kernel.rings, sizeof *kernel.rings);
    munmap((void *)(uintptr_t)kernel.sqe, ENTRIES * sizeof *kernel.sqe);
    close(kernel.fd);
}

static void put(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        kind->put(ring, i, &work[i]);
    kind->submit(ring);
}

/* These indices have ended with these results, in any order, and no others. */
static void expect(unsigned n, const struct milgi__ring_end *wanted)
{
    struct milgi__ring_end got[DEPTH + 1];
    unsigned found = 0;

    assert_int_equal(kind->reap(ring, got, DEPTH + 1), n);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < n; k++)
            found += got[i].index == wanted[k].index && got[i].result == wanted[k].result;
    }
    assert_int_equal(found, n);
}

static void what_a_ring_takes_comes_back(void **state)
{
    (void)state;
    begin(&milgi__ring_uring);
    kernel.takes = 2 * DEPTH;
    put(DEPTH);
    expect(0, NULL);
    for (unsigned i = 0; i < DEPTH; i++) {
        ends(2 * i, sizeof bytes);
        ends(2 * i + 1, 100 + (int)i);
    }
    expect(4, (const struct milgi__ring_end[]){ { 0, 100 }, { 1, 101 }, { 2, 102 }, { 3, 103 } });
    end();
}

/* The kernel reads the message while its op has it, and no longer: so the op is kept. */
static void a_message_without_its_read_keeps_its_op(void **state)
{
    static const int errors[] = { EAGAIN, EBUSY, ENOMEM };

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(errors); i++) {
        begin(&milgi__ring_uring);
        kernel.takes = 3; /* both of one, and the message of another */
        kernel.refuses = errors[i];
        put(3);
        expect(1, (const struct milgi__ring_end[]){ { 2, -errors[i] } });
        expect(0, NULL);
        ends(0, sizeof bytes);
        ends(1, 100);
        expect(1, (const struct milgi__ring_end[]){ { 0, 100 } });
        /* What is free is used again; that of the message is not. */
        kernel.takes = 4;
        kind->put(ring, 2, &work[2]);
        kind->put(ring, 0, &work[0]);
        kind->submit(ring);
        ends(5, 102);
        expect(1, (const struct milgi__ring_end[]){ { 2, 102 } });
        ends(2, sizeof bytes);
        expect(1, (const struct milgi__ring_end[]){ { 1, -errors[i] } });
        ends(1, 100);
        expect(1, (const struct milgi__ring_end[]){ { 0, 100 } });
        end();
    }
}

static void what_is_not_taken_at_all_is_given_back(void **state)
{
    (void)state;
    begin(&milgi__ring_uring);
    kernel.refuses = EBUSY;
    put(DEPTH);
    assert_int_equal(kernel.rings->sq_tail, kernel.rings->sq_head);
    expect(4, (const struct milgi__ring_end[]){ { 0, -EBUSY }, { 1, -EBUSY }, { 2, -EBUSY }, { 3, -EBUSY } });
    end();
}

static void why_a_message_failed_is_told(void **state)
{
    (void)state;
    begin(&milgi__ring_uring);
    kernel.takes = 4;
    put(2);
    ends(0, -ENOKEY);
    ends(1, -ECANCELED);
    ends(2, 5); /* not all of it */
    ends(3, -ECANCELED);
    expect(2, (const struct milgi__ring_end[]){ { 0, -ENOKEY }, { 1, -EIO } });
    end();
}

/* Where there is no room for one there is none for those behind it: they cost no call each. */
static void aio_that_is_full_is_asked_once(void **state)
{
    (void)state;
    begin(&milgi__ring_aio);
    kernel.takes = 1;
    kernel.refuses = EAGAIN;
    put(DEPTH);
    assert_int_equal(kernel.calls, 2);
    expect(3, (const struct milgi__ring_end[]){ { 1, -EAGAIN }, { 2, -EAGAIN }, { 3, -EAGAIN } });
    end();
    begin(&milgi__ring_aio);
    kernel.refuses = EBADF; /* that is one's own affair */
    put(DEPTH);
    assert_int_equal(kernel.calls, DEPTH);
    expect(4, (const struct milgi__ring_end[]){ { 0, -EBADF }, { 1, -EBADF }, { 2, -EBADF }, { 3, -EBADF } });
    end();
}

/* --- its surroundings --------------------------------------------------------------------------------------------- */

static void the_kernels_list_says_which_driver_it_takes(void **state)
{
    static const char list[] =
        "name         : gcm(aes)\ndriver       : slow\npriority     : 100\nasync        : no\ntype         : aead\n\n"
        "name         : gcm(aes)\ndriver       : card(a,b)\npriority     : 300\ntype         : aead\n"
        "async        : yes\n\n"
        "name         : gcm(aes)\ndriver       : other\npriority     : 200\ntype         : aead\n\n"
        "name         : aes\ndriver       : plain\npriority     : 900\ntype         : cipher\n\n";
    struct milgi__driver driver;
    char path[40];
    int fd = memfd_create("drivers", MFD_CLOEXEC);

    (void)state;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(write(fd, list, sizeof list - 1), (ssize_t)sizeof list - 1);
    assert_true(milgi__driver_of(path, "gcm(aes)", &driver));
    assert_string_equal(driver.name, "card(a,b)");
    assert_true(driver.async);
    assert_true(milgi__driver_of(path, "slow", &driver));
    assert_string_equal(driver.name, "slow");
    assert_false(driver.async);
    assert_false(milgi__driver_of(path, "aes", &driver));
    close(fd);
    assert_false(milgi__driver_of(path, "gcm(aes)", &driver));
}

/* That of the machine's kernel. */
static void a_quarter_of_the_descriptors_may_be_idle(void **state)
{
    struct rlimit before, few;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = MILGI__MIN(before.rlim_cur, 48);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    unsigned most = milgi__alg_kernel->most();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(most, few.rlim_cur / 4);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_ring_takes_comes_back),
        cmocka_unit_test(a_message_without_its_read_keeps_its_op),
        cmocka_unit_test(what_is_not_taken_at_all_is_given_back),
        cmocka_unit_test(why_a_message_failed_is_told),
        cmocka_unit_test(aio_that_is_full_is_asked_once),
        cmocka_unit_test(the_kernels_list_says_which_driver_it_takes),
        cmocka_unit_test(a_quarter_of_the_descriptors_may_be_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
