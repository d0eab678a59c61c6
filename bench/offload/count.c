/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel counts: system calls and context switches of single threads. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "offload.h"

#define EVENT_ID "events/raw_syscalls/sys_enter/id"

static long number_in(const char *path)
{
    FILE *file = fopen(path, "r");
    long number = -1;

    if (!file || fscanf(file, "%ld", &number) != 1)
        number = -1;
    if (file)
        fclose(file);
    return number;
}

/* Where tracefs is not mounted: in a mount namespace of a child's, which goes with it. */
static long mounted_elsewhere(void)
{
    int ends[2];
    long id = -1;

    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
            mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) == 0)
            id = number_in("/sys/kernel/tracing/" EVENT_ID);
        _exit(write(ends[1], &id, sizeof id) == sizeof id ? 0 : 1);
    }
    if (child > 0 && read(ends[0], &id, sizeof id) != sizeof id)
        id = -1;
    if (child > 0)
        waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return id;
}

/* The kernel's number of the event "a system call was entered"; -1: not to be had. */
static long entered(void)
{
    static long id;

    if (id == 0)
        id = number_in("/sys/kernel/tracing/" EVENT_ID);
    if (id < 0)
        id = mounted_elsewhere();
    return id;
}

bool syscalls_open(struct syscall_counter *counter, const pid_t *threads, unsigned n)
{
    struct perf_event_attr attr;
    long id = entered();

    memset(&attr, 0, sizeof attr);
    attr.type = PERF_TYPE_TRACEPOINT;
    attr.size = sizeof attr;
    attr.config = (uint64_t)id;
    *counter = (struct syscall_counter){ malloc(n * sizeof(int)), 0 };
    if (id < 0 || !counter->fd)
        return false;
    for (unsigned i = 0; i < n; i++) {
        int fd = (int)syscall(SYS_perf_event_open, &attr, threads[i], -1, -1, 0);
        if (fd >= 0)
            counter->fd[counter->n++] = fd;
    }
    return counter->n == n;
}

uint64_t syscalls_close(struct syscall_counter *counter)
{
    uint64_t all = 0;

    for (unsigned i = 0; i < counter->n; i++) {
        uint64_t one;
        if (read(counter->fd[i], &one, sizeof one) == sizeof one)
            all += one;
        close(counter->fd[i]);
    }
    free(counter->fd);
    return all;
}

unsigned threads_list(pid_t **threads)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned n = 0, cap = 0;

    *threads = NULL;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if (n == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            *threads = realloc(*threads, cap * sizeof **threads);
            if (!*threads)
                bench_die("out of memory");
        }
        (*threads)[n++] = (pid_t)atol(entry->d_name);
    }
    if (dir)
        closedir(dir);
    return n;
}

uint64_t switches_of(pid_t thread)
{
    char path[64], line[256];
    uint64_t all = 0;

    snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)thread);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "ctxt_switches:");
        if (at)
            all += strtoull(at + strlen("ctxt_switches:"), NULL, 10);
    }
    if (file)
        fclose(file);
    return all;
}
