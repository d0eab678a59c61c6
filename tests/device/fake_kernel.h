/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel for the device afalg that does what the test says: it has or lacks ciphers and sockets, takes its time,
 * fails and hangs. What it is asked it checks as the real one does, and by libcrypto it does it. For one thread.
 */
#pragma once

#include <stdbool.h>

struct fake_kernel {
    int bind_error, accept_error; /* -errno from now on */
    int no_chacha;                /* -errno for that cipher */
    int work_error;               /* what operations end with from now on */
    int ring_error[2];            /* io_uring, AIO */
    bool garbles;                 /* the ciphers are wrong */
    bool late;                    /* operations do not end by themselves, but by fake_kernel_end() */
    bool unlisted;                /* the ciphers are not in the list, after fake_kernel_list() */
    unsigned sockets_max;         /* without those that are held */
    unsigned most;                /* that may be kept, 0: any number; from when the device is made */
    /* what it sees */
    unsigned keys, operations; /* sockets that are open; */
    unsigned held;             /* with a key of zeros */
    unsigned under_way;
    unsigned bound, accepted, done; /* ever */
    const char *complaint;          /* a rule that was broken: operations on a socket that has one, or is closed ... */
};
extern struct fake_kernel fake_kernel;

/* Instead of the machine's, and as nothing had happened. */
void fake_kernel_begin(void);
void fake_kernel_done(void);
void fake_kernel_list(void);
/* The i-th that is under way ends. */
void fake_kernel_end(unsigned i);
