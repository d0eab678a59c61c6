/* SPDX-License-Identifier: Apache-2.0 */
/* Engines across fork(): a child can do nothing with its parent's, nor an engine of its own with a parent's device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <milgi/milgi.h>

#define CHILD_S 30 /* a child that hangs is ended */

static struct milgi_engine *engine;
static struct milgi_device *device;
static bool posted;

static bool sleeps(const char *task)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", task);
    FILE *file = fopen(path, "r");
    if (!file)
        return true; /* it has ended */
    (void)!fgets(line, sizeof line, file);
    fclose(file);
    const char *state = strrchr(line, ')');
    return state && state[1] == ' ' && state[2] == 'S';
}

/*
 * Threads that are just beginning hold locks, of a sanitizer's allocator for instance, that a child would wait for in
 * vain: that is why one does not fork while there are threads, but not what is tested here.
 */
static void await_quiet_threads(void)
{
    unsigned busy;
    do {
        DIR *tasks = opendir("/proc/self/task");
        assert_non_null(tasks);
        busy = 0;
        for (const struct dirent *task; (task = readdir(tasks));)
            busy += task->d_name[0] != '.' && atoi(task->d_name) != getpid() && !sleeps(task->d_name);
        closedir(tasks);
    } while (busy);
}

static void in_child(int (*check)(void))
{
    int status = -1;
    await_quiet_threads();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_S);
        _exit(check());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status))
        fail_msg("signal %d", WTERMSIG(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static bool is_awake(void)
{
    struct pollfd fd = { .fd = milgi_engine_fd(engine), .events = POLLIN };
    return poll(&fd, 1, 0) != 0;
}

static void settle(void)
{
    struct milgi_run_result result;
    for (int i = 0; i < 3; i++)
        assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
}

static void on_post(void *arg)
{
    (void)arg;
    posted = true;
}

/* The number of the first call that was not refused. */
static int use_engine(void)
{
    struct milgi_run_result result = { .next = MILGI_RUN_AGAIN };
    struct milgi_engine_stats stats;
    if (milgi_engine_run(engine, 0, &result) != MILGI_EFORK || result.next != MILGI_RUN_IDLE)
        return 1;
    if (milgi_engine_add_device(engine, device) != MILGI_EFORK)
        return 2;
    if (milgi_engine_route(engine, UINT32_MAX, 0, 0) != MILGI_EFORK)
        return 3;
    if (milgi_engine_route_first(engine, UINT32_MAX, 1, 0) != MILGI_EFORK)
        return 9;
    if (milgi_engine_remove_device(engine, 1, 0) != MILGI_EFORK)
        return 10;
    if (milgi_engine_use_memory(engine, 1) != MILGI_EFORK)
        return 11;
    if (milgi_engine_post(engine, on_post, NULL) != MILGI_EFORK)
        return 4;
    if (milgi_engine_fd(engine) != -1)
        return 5;
    if (milgi_chunk_new(engine, 100))
        return 6;
    milgi_engine_stats(engine, &stats);
    if (stats.devices_n == 0)
        return 7;
    return milgi_engine_free(engine) == MILGI_EFORK ? 0 : 8;
}

static void every_call_on_an_engine_of_another_process_is_refused(void **state)
{
    (void)state;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    assert_int_equal(milgi_device_new("pool:1", &device, NULL), 0);
    assert_int_equal(milgi_engine_add_device(engine, device), 1);
    settle();
    in_child(use_engine);
    assert_false(is_awake());
    settle();
    assert_false(posted);
    assert_int_equal(milgi_engine_post(engine, on_post, NULL), 0);
    assert_true(is_awake());
    settle();
    assert_true(posted);
    assert_int_equal(milgi_engine_free(engine), 0);
    milgi_device_free(device);
}

/* The mistake of a master that makes the devices for its workers. */
static int give_it_to_an_own_engine(void)
{
    struct milgi_engine *own;
    struct milgi_device *another;
    if (milgi_engine_new(NULL, &own) != 0 || milgi_device_new(device->spec, &another, NULL) != 0)
        return 1;
    if (milgi_engine_add_device(own, device) != MILGI_EFORK)
        return 2;
    if (milgi_engine_add_device(own, another) != 1)
        return 3;
    if (milgi_engine_free(own) != 0)
        return 4;
    milgi_device_free(another);
    return 0;
}

static void a_device_made_before_fork_is_refused_by_an_engine_made_after_it(void **state)
{
    static const char *const specs[] = { "cpu", "pool:2", "sim:latency=1ms", "chaos:seed=5", "pkcs11",
        "batch:lanes=libcrypto" };
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        int rv = milgi_device_new(specs[i], &device, NULL);
        if (rv == MILGI_EUNSUPPORTED)
            continue; /* this build has none */
        assert_int_equal(rv, 0);
        in_child(give_it_to_an_own_engine);
        milgi_device_free(device);
    }
}

/* It did not come from milgi_device_new(), and nobody knows whose it is: its maker does. */
static void a_device_that_is_not_built_in_is_not_checked(void **state)
{
    (void)state;
    assert_int_equal(milgi_device_new("sim:latency=1ms", &device, NULL), 0);
    assert_true(device->process != 0);
    device->process = 0;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    assert_int_equal(milgi_engine_add_device(engine, device), 1);
    assert_int_equal(milgi_engine_free(engine), 0);
    milgi_device_free(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_on_an_engine_of_another_process_is_refused),
        cmocka_unit_test(a_device_made_before_fork_is_refused_by_an_engine_made_after_it),
        cmocka_unit_test(a_device_that_is_not_built_in_is_not_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
