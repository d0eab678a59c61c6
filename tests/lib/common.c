/* SPDX-License-Identifier: Apache-2.0 */
/* See common.h. */
#include "common.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 9) + (at >> 17));
}

void pattern_fill(uint8_t *data, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(at + i);
}

bool is_pattern(const uint8_t *data, size_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != pattern(at + i))
            return false;
    }
    return true;
}

void socket_pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

bool is_full_run(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return getenv("MILGI_TESTS_FULL") != NULL;
}

struct milgi_device *device_for(struct milgi_engine *engine, const char *spec)
{
    struct milgi_device *device;
    const char *why = "";
    if (milgi_device_new(spec, &device, &why))
        fail_msg("%s: %s", spec, why);
    int index = milgi_engine_add_device(engine, device);
    assert_true(index > 0);
    if (device->ops->chunk_alloc)
        assert_int_equal(milgi_engine_use_memory(engine, (unsigned)index), 0);
    assert_int_equal(milgi_engine_route(engine, device->caps.ops, (unsigned)index, 1), 0);
    return device;
}

/* MILGI_TESTS_DEVICE: on this kind alone; see docs/testing.md. */
static bool is_wanted(const char *spec)
{
    const char *only = getenv("MILGI_TESTS_DEVICE");
    size_t len = strcspn(spec, ":");
    return !only || (strlen(only) == len && !strncmp(only, spec, len));
}

static void on_device(void (*test)(const char *spec), const char *spec)
{
    struct milgi_device *device;
    unsigned before = descriptors();
    int rv = milgi_device_new(spec, &device, NULL);
    if (rv == MILGI_EUNSUPPORTED) {
        print_message("not tested: no device %s here\n", spec);
        return;
    }
    assert_int_equal(rv, 0);
    milgi_device_free(device);
    test(spec);
    assert_int_equal(descriptors(), before);
}

void on_each_device(void (*test)(const char *spec))
{
    static const char *const specs[] = { "pool:2", "batch",
        "chaos:seed=7,refuse=0.2,fail=0.05,max_delay=100us,reorder=0.5" };
    if (is_wanted("cpu"))
        test(NULL);
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        if (is_wanted(specs[i]))
            on_device(test, specs[i]);
}

void hoard(struct hoard *h, struct milgi_engine *engine, size_t least)
{
    h->n = 0;
    for (size_t size = 65536; size >= least; size /= 4)
        while (h->n < sizeof h->chunk / sizeof h->chunk[0] && (h->chunk[h->n] = milgi_chunk_new(engine, size)))
            h->n++;
}

void hoard_give_back(struct hoard *h)
{
    while (h->n)
        milgi_chunk_unref(h->chunk[--h->n]);
}
