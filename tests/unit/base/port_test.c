/* SPDX-License-Identifier: Apache-2.0 */
/* What the operating system gives: clocks, files, descriptors that wake. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "base/port.h"

static void monotonic_clock_goes_on(void **state)
{
    (void)state;
    uint64_t before = milgi__port_monotonic_ns(NULL);
    usleep(2000);
    uint64_t after = milgi__port_monotonic_ns(NULL);
    assert_true(after - before >= 2000000);
    assert_true(after - before < 10000000000u);
}

static void wall_clock_is_in_this_century(void **state)
{
    (void)state;
    assert_true(milgi__port_wall_s(NULL) > 1700000000);
    assert_true(milgi__port_wall_s(NULL) < 4102444800);
}

static void process_identity_differs_in_a_child_and_between_children(void **state)
{
    (void)state;
    uint64_t own = milgi__port_process(), seen[2];
    for (int i = 0; i < 2; i++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (pid == 0) {
            uint64_t id = milgi__port_process();
            _exit(write(fds[1], &id, sizeof id) == sizeof id ? 0 : 1);
        }
        assert_int_equal(read(fds[0], &seen[i], sizeof seen[i]), sizeof seen[i]);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fds[0]);
        close(fds[1]);
    }
    assert_true(own == milgi__port_process());
    assert_true(seen[0] != own);
    assert_true(seen[1] != own);
    assert_true(seen[0] != seen[1]);
}

static bool readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

static void *wake(void *waker)
{
    milgi__port_waker_wake(waker);
    return NULL;
}

static void waker_wakes_from_another_thread_until_it_is_cleared(void **state)
{
    (void)state;
    struct milgi__port_waker waker;
    assert_int_equal(milgi__port_waker_init(&waker), 0);
    for (int round = 0; round < 3; round++) {
        pthread_t thread;
        assert_false(readable(waker.poll_fd));
        assert_int_equal(pthread_create(&thread, NULL, wake, &waker), 0);
        pthread_join(thread, NULL);
        assert_true(readable(waker.poll_fd));
        assert_true(readable(waker.poll_fd));
        milgi__port_waker_clear(&waker);
    }
    assert_false(readable(waker.poll_fd));
    milgi__port_waker_wake(&waker);
    milgi__port_waker_wake(&waker);
    milgi__port_waker_clear(&waker);
    assert_false(readable(waker.poll_fd));
    milgi__port_waker_fini(&waker);
    assert_int_equal(waker.poll_fd, -1);
}

static void waker_watches_other_descriptors(void **state)
{
    (void)state;
    struct milgi__port_waker waker;
    int fds[2];
    assert_int_equal(milgi__port_waker_init(&waker), 0);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(milgi__port_waker_add(&waker, fds[0]), 0);
    assert_int_equal(milgi__port_waker_add(&waker, fds[0]), MILGI_ELIMIT); /* it is in already */
    assert_false(readable(waker.poll_fd));
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_true(readable(waker.poll_fd));
    milgi__port_waker_clear(&waker);
    assert_false(readable(waker.poll_fd)); /* although the pipe still has the byte */
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_true(readable(waker.poll_fd));
    milgi__port_waker_clear(&waker);
    milgi__port_waker_remove(&waker, fds[0]);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_false(readable(waker.poll_fd));
    close(fds[0]);
    close(fds[1]);
    milgi__port_waker_fini(&waker);
}

static void more_descriptors_than_one_look_takes_are_all_cleared(void **state)
{
    (void)state;
    struct milgi__port_waker waker;
    int fds[40][2];
    assert_int_equal(milgi__port_waker_init(&waker), 0);
    for (size_t i = 0; i < MILGI__COUNT(fds); i++) {
        assert_int_equal(pipe(fds[i]), 0);
        assert_int_equal(milgi__port_waker_add(&waker, fds[i][0]), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
    }
    assert_true(readable(waker.poll_fd));
    milgi__port_waker_clear(&waker);
    assert_false(readable(waker.poll_fd));
    for (size_t i = 0; i < MILGI__COUNT(fds); i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
    milgi__port_waker_fini(&waker);
}

/* A file of |len| bytes that is gone from the directory when the test ends. */
static char *make_file(size_t len)
{
    static char path[] = "/tmp/milgi-port-XXXXXX";
    memcpy(path + sizeof path - 7, "XXXXXX", 6);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static uint8_t block[1 << 16];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 31);
    for (size_t at = 0; at < len;) {
        size_t n = MILGI__MIN(sizeof block, len - at);
        assert_int_equal(write(fd, block, n), n);
        at += n;
    }
    close(fd);
    return path;
}

static void file_is_read_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 16384, 16385, 100000, 16u << 20 };
    for (size_t i = 0; i < MILGI__COUNT(sizes); i++) {
        char *path = make_file(sizes[i]);
        size_t len;
        uint8_t *data = milgi__port_read_file(path, &len);
        unlink(path);
        assert_non_null(data);
        assert_int_equal(len, sizes[i]);
        for (size_t at = 0; at < len; at += 997)
            assert_int_equal(data[at], (uint8_t)((at % (1 << 16)) * 31));
        milgi__free_wiped(data, len);
    }
}

static void file_that_cannot_be_read_gives_nothing(void **state)
{
    (void)state;
    size_t len = 5;
    assert_null(milgi__port_read_file("/nonexistent/file", &len));
    assert_int_equal(len, 0);
    assert_null(milgi__port_read_file("/tmp", &len));
    char *path = make_file((16u << 20) + 1);
    assert_null(milgi__port_read_file(path, &len));
    unlink(path);
}

static unsigned until_failure;

static bool fail_later(void)
{
    return until_failure-- == 0;
}

static void file_is_given_up_when_memory_ends(void **state)
{
    (void)state;
    char *path = make_file(100000);
    size_t len;
    for (unsigned i = 0; i < 3; i++) {
        milgi__mem_fail = fail_later;
        until_failure = i;
        assert_null(milgi__port_read_file(path, &len));
        milgi__mem_fail = NULL;
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_clock_goes_on),
        cmocka_unit_test(wall_clock_is_in_this_century),
        cmocka_unit_test(process_identity_differs_in_a_child_and_between_children),
        cmocka_unit_test(waker_wakes_from_another_thread_until_it_is_cleared),
        cmocka_unit_test(waker_watches_other_descriptors),
        cmocka_unit_test(more_descriptors_than_one_look_takes_are_all_cleared),
        cmocka_unit_test(file_is_read_whole),
        cmocka_unit_test(file_that_cannot_be_read_gives_nothing),
        cmocka_unit_test(file_is_given_up_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
