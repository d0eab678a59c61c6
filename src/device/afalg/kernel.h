/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device afalg wants of the kernel: sockets of AF_ALG, and two ways to have their operations done without
 * waiting for them. Tests put a kernel of their own in the place of this one.
 *
 * An operation is a message to a socket, with what is to be done in its control data and the input as its contents, and
 * the read that fetches the output. A socket does one at a time.
 */
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include "base/base.h"

/* An operation. It stays where it is until it has ended. */
struct milgi__alg_work {
    int fd;
    int32_t sent;  /* the ring's: why the message was not taken; */
    int32_t alone; /* why it went without its read */
    uint32_t in_len;
    struct msghdr message;
    struct iovec *out;
    unsigned out_n;
};

struct milgi__ring;

struct milgi__ring_end {
    uint32_t index;
    int32_t result; /* bytes of output, or -errno */
};

struct milgi__ring_kind {
    const char *name;
    /* For |depth| operations at once. |workers|: of the kernel's, to do them; 0: whoever it is. 0 or -errno. */
    int (*open)(unsigned depth, unsigned workers, struct milgi__ring **ring);
    void (*close)(struct milgi__ring *ring); /* nothing is under way */
    /* Between put and its end |index| and |work| belong to the ring. What cannot be begun ends with an error. */
    void (*put)(struct milgi__ring *ring, uint32_t index, struct milgi__alg_work *work);
    void (*submit)(struct milgi__ring *ring); /* begins all that were put */
    unsigned (*reap)(struct milgi__ring *ring, struct milgi__ring_end *ends, unsigned n);
    int (*fd)(const struct milgi__ring *ring); /* readable while something has ended and was not reaped */
};

extern const struct milgi__ring_kind milgi__ring_uring, milgi__ring_aio;

struct milgi__alg_kernel {
    /* Each returns a descriptor, or -errno. */
    int (*bind)(const char *name, const uint8_t *key, size_t len); /* an AEAD's, with a tag of 16 bytes */
    int (*accept)(int fd);                                         /* another operation's, of the same key */
    void (*close)(int fd);
    unsigned (*most)(void);                 /* how many descriptors that are not in use may be kept */
    const struct milgi__ring_kind *ring[2]; /* io_uring; Linux AIO */
    const char *drivers;                    /* the path of its list */
};
extern const struct milgi__alg_kernel *milgi__alg_kernel;
