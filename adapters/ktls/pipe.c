/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes for splice(), which are large enough, where that can be. */
#include "milgi_ktls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BUFFERS 64u /* of a pipe, each a page in its size; fewer where more are refused */
#define STAT 4096u  /* bytes of the kernel's statistics of TLS; there are ten lines */

/* What the kernel opens itself lies in few pieces from 6.0 on, however the segments were in which it came. */
static bool is_new_enough(void)
{
    struct utsname name;
    unsigned major;
    return !uname(&name) && sscanf(name.release, "%u.", &major) == 1 && major >= 6;
}

/* A card has opened records in this network: it leaves them where they lie, in as many pieces as there were. */
static bool cards_open(void)
{
    static const char key[] = "\nTlsRxDevice ";
    char text[STAT];
    FILE *in = fopen("/proc/net/tls_stat", "re");
    size_t len = in ? fread(text, 1, sizeof text - 1, in) : 0;
    if (in)
        fclose(in);
    text[len] = 0;
    const char *at = strstr(text, key);
    unsigned long count;
    return !at || sscanf(at + sizeof key - 1, "%lu", &count) != 1 || count != 0;
}

/* How often may be received into it: as far as the system allows. */
static int enlarge(int pipe)
{
    long page = sysconf(_SC_PAGESIZE);
    for (unsigned buffers = BUFFERS; buffers > MILGI_KTLS_PIECES; buffers /= 2) {
        int size = fcntl(pipe, F_SETPIPE_SZ, (int)(buffers * (unsigned long)page));
        if (size > 0 && (unsigned long)size / (unsigned long)page >= MILGI_KTLS_PIECES)
            return (int)((unsigned long)size / (unsigned long)page / MILGI_KTLS_PIECES);
    }
    return -ENOBUFS;
}

int milgi_ktls_pipe(enum milgi_direction direction, int ends[2])
{
    int made[2];
    if (direction == MILGI_RECEIVE && (!is_new_enough() || cards_open()))
        return -EOPNOTSUPP;
    if (pipe2(made, O_CLOEXEC | O_NONBLOCK))
        return -errno;
    int times = direction == MILGI_RECEIVE ? enlarge(made[1]) : 1;
    if (times < 0) {
        close(made[0]);
        close(made[1]);
        return times;
    }
    memcpy(ends, made, sizeof made);
    return times;
}
