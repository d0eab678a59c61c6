/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of AF_ALG. */
#include "device/afalg/kernel.h"

#include <errno.h>
#include <limits.h>
#include <linux/if_alg.h>
#include <sys/resource.h>
#include <unistd.h>

#define TAG_LEN 16u

static int failed(int fd)
{
    int error = errno;

    if (fd >= 0)
        close(fd);
    return error == 0 ? -EIO : -error;
}

static int alg_bind(const char *name, const uint8_t *key, size_t len)
{
    struct sockaddr_alg address = { .salg_family = AF_ALG, .salg_type = "aead" };
    size_t name_len = strlen(name);

    if (name_len >= sizeof address.salg_name)
        return -ENOENT;
    memcpy(address.salg_name, name, name_len);
    int fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return failed(fd);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, SOL_ALG, ALG_SET_KEY, key, (socklen_t)len) != 0 ||
        setsockopt(fd, SOL_ALG, ALG_SET_AEAD_AUTHSIZE, NULL, TAG_LEN) != 0)
        return failed(fd);
    return fd;
}

static int alg_accept(int fd)
{
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    return got >= 0 ? got : failed(-1);
}

static void alg_close(int fd)
{
    close(fd);
}

/* A quarter of what the process may have: the others are its connections'. */
static unsigned alg_most(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    return (unsigned)MILGI__MIN(limit.rlim_cur / 4, (rlim_t)UINT_MAX); /* RLIM_INFINITY is the largest */
}

static const struct milgi__alg_kernel this_one = {
    .bind = alg_bind,
    .accept = alg_accept,
    .close = alg_close,
    .most = alg_most,
    .ring = { &milgi__ring_uring, &milgi__ring_aio },
    .drivers = "/proc/crypto",
};
const struct milgi__alg_kernel *milgi__alg_kernel = &this_one;
