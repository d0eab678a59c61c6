/* SPDX-License-Identifier: Apache-2.0 */
/* The limit of descriptors is asked before what aborts without one: libuv does, when it makes a loop. */
#include "common/descriptors.h"

#include <dirent.h>

#define LIKELY 64 /* where /proc is not there */

rlim_t app_descriptors_open(void)
{
    rlim_t n = 0;
    DIR *all = opendir("/proc/self/fd");
    if (!all)
        return LIKELY;
    while (readdir(all))
        n++;
    closedir(all);
    return n - 3; /* itself, and two names of directories */
}

rlim_t app_descriptors_raise(rlim_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return RLIM_INFINITY;
    if (limit.rlim_cur >= wanted)
        return limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}
