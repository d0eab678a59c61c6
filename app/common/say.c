/* SPDX-License-Identifier: Apache-2.0 */
/* Standard error. */
#include "common/say.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/outlet.h"
#include "common/show.h"

#define LAST_TRIES 5
#define LAST_MS 100

const char *app_name = "milgi";

static struct app_outlet outlet = { .fd = STDERR_FILENO, .lock = PTHREAD_MUTEX_INITIALIZER };
static struct app_outlet output = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER }; /* -1: not used yet */

void app_say_init(void)
{
    app_outlet_init(&outlet, STDERR_FILENO);
}

/* At once: processes that share a standard error do not get into each other's sentences. */
static void put(const char *name, const char *text, bool lines)
{
    static const char poor[] = "milgi: something is wrong, and there is no memory to say what\n";
    char *shown = app_show(text, lines), *line = NULL;
    int len = !shown ? -1 : name ? asprintf(&line, "%s: %s\n", name, shown)
                                 : asprintf(&line, "%s\n", shown);
    free(shown);
    if (len < 0) {
        app_outlet_put(&outlet, poor, sizeof poor - 1);
        return;
    }
    app_outlet_put(&outlet, line, (size_t)len);
    free(line);
}

static void put_dropped(void)
{
    char text[96];
    uint64_t n = app_outlet_dropped(&outlet);
    if (!n)
        return;
    snprintf(text, sizeof text, "%llu messages were dropped: nobody was reading standard error",
        (unsigned long long)n);
    put(app_name, text, false);
}

static void put_format(const char *name, const char *format, va_list args)
{
    char *text = NULL;
    put_dropped();
    if (vasprintf(&text, format, args) < 0)
        text = NULL; /* whatever it was left as */
    put(name, text ? text : format, false);
    free(text);
}

void app_complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_format(app_name, format, args);
    va_end(args);
}

void app_tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    put_format(NULL, format, args);
    va_end(args);
}

void app_report(const char *title, const char *lines)
{
    char *text = NULL;
    put_dropped();
    if (asprintf(&text, "%s\n%s", title, lines) < 0)
        text = NULL;
    put(app_name, text ? text : title, true);
    free(text);
}

bool app_announce(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    if (output.fd < 0)
        app_outlet_init(&output, STDOUT_FILENO);
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    bool done = len >= 0 && app_outlet_put(&output, text, (size_t)len);
    if (!done)
        app_complain("cannot write to standard output: %s", strerror(output.error ? output.error : ENOMEM));
    if (len >= 0)
        free(text);
    return done;
}

bool app_say_pending(void)
{
    return app_outlet_pending(&outlet) || (output.held_len && app_outlet_pending(&output));
}

void app_say_again(void)
{
    app_outlet_flush(&output);
    app_outlet_flush(&outlet);
    put_dropped();
}

void app_say_last(void)
{
    for (int i = 0; i < LAST_TRIES && app_say_pending(); i++) {
        struct pollfd ready = { .fd = outlet.held_len ? outlet.fd : output.fd, .events = POLLOUT };
        poll(&ready, 1, LAST_MS);
        app_say_again();
    }
    app_outlet_fini(&outlet);
}

void app_say_forked(void)
{
    app_outlet_forked(&outlet);
    app_outlet_forked(&output);
}
