/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a file without trusting it to be one. */
#include "common/file.h"
#include "common/say.h"

#include <errno.h>
#include <fcntl.h>
#include <milgi/config.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST (16u << 20) /* bytes: the trust stores of systems have less than one million */
#define STEP 16384u

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void app_file_free(char *text, size_t len)
{
    if (!text)
        return;
    explicit_bzero(text, len);
    free(text);
}

/* realloc() would leave a copy of a key behind. */
static bool make_room(char **text, size_t *room, size_t len)
{
    if (*room - len > STEP)
        return true;
    size_t more = 2 * *room + 2 * STEP;
    char *bigger = malloc(more);
    if (!bigger)
        return false;
    if (*text)
        memcpy(bigger, *text, len);
    app_file_free(*text, len);
    *text = bigger;
    *room = more;
    return true;
}

/* False: nothing has come in time. */
static bool wait_for(int fd, uint64_t end_ms)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    uint64_t now = now_ms();
    return now < end_ms && poll(&ready, 1, (int)(end_ms - now)) > 0;
}

static const char *read_all(int fd, uint64_t end_ms, bool waits, char **text, size_t *len)
{
    size_t room = 0;
    for (;;) {
        if (!make_room(text, &room, *len))
            return strerror(ENOMEM);
        if (waits && !wait_for(fd, end_ms))
            return "nobody writes to this pipe";
        ssize_t n = read(fd, *text + *len, STEP);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n < 0)
            return strerror(errno);
        *len += (size_t)n;
        (*text)[*len] = 0;
        if (!n)
            return NULL;
        if (*len > MOST)
            return "is too large: more than 16 MiB";
    }
}

const char *app_file_read(const char *file, uint32_t patience_ms, char **text, size_t *len)
{
    struct stat info;
    uint64_t end_ms = now_ms() + patience_ms;
    *text = NULL;
    *len = 0;
    /* Non-blocking, or opening a pipe would wait for its other end for ever. */
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return strerror(errno);
    const char *fault = fstat(fd, &info) ? strerror(errno) : NULL;
    if (!fault)
        fault = read_all(fd, end_ms, !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode), text, len);
    close(fd);
    if (!fault)
        return NULL;
    app_file_free(*text, *len);
    *text = NULL;
    return fault;
}

bool app_file_passphrase(const char *file, uint32_t patience_ms, char **line, size_t *len)
{
    *line = NULL;
    *len = 0;
    const char *fault = file ? app_file_read(file, patience_ms, line, len) : NULL;
    if (!*line) {
        if (fault)
            app_complain("%s: %s", file, fault);
        return !fault;
    }
    const char *end = memchr(*line, '\n', *len);
    size_t first = end ? (size_t)(end - *line) : *len;
    first -= first > 0 && (*line)[first - 1] == '\r';
    explicit_bzero(*line + first, *len - first);
    *len = first;
    if (first > 0 && first <= MILGI_PASSPHRASE_MAX)
        return true;
    app_complain("%s: its first line is %s", file,
        first > 0 ? "too long for a passphrase: more than 1024 bytes" : "empty: it should be a passphrase");
    app_file_free(*line, first);
    *line = NULL;
    *len = 0;
    return false;
}
