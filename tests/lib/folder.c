/* SPDX-License-Identifier: Apache-2.0 */
/* See folder.h. */
#include "folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/milgi-test-XXXXXX";
static pid_t maker;

static int gone(const char *name, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(name);
}

/* A child's end is not the end. */
static void remove_folder(void)
{
    if (getpid() == maker)
        nftw(path, gone, 8, FTW_DEPTH | FTW_PHYS);
}

const char *folder(void)
{
    if (maker)
        return path;
    maker = getpid();
    if (!mkdtemp(path) || atexit(remove_folder)) {
        perror(path);
        abort();
    }
    return path;
}

const char *folder_path(const char *name)
{
    static char full[256];
    snprintf(full, sizeof full, "%s/%s", folder(), name);
    return full;
}
