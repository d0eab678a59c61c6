/* SPDX-License-Identifier: Apache-2.0 */
/* The milgi command: which subcommand it is. */
#include "commands.h"
#include "common/say.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *app_name = "milgi";

void app_complain(const char *format, ...)
{
    char *text = NULL, *line = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0)
        text = NULL; /* whatever it was left as */
    /* At once: processes that share a standard error do not get into each other's sentences. */
    len = len < 0 ? -1 : asprintf(&line, "%s: %s\n", app_name, text);
    if (len < 0)
        fprintf(stderr, "%s: %s\n", app_name, format);
    for (ssize_t at = 0, n = 1; n > 0 && at < len; at += n)
        n = write(STDERR_FILENO, line + at, (size_t)(len - at));
    if (len >= 0)
        free(line);
    free(text);
}

static const struct {
    const char *word, *name;
    enum app_command command;
    int (*run)(const struct app_options *options);
} commands[] = {
    { "proxy", "milgi proxy", APP_PROXY, app_proxy },
    { "connect", "milgi connect", APP_CONNECT, app_connect },
    { "devices", "milgi devices", APP_DEVICES, app_devices },
};

static int run_command(size_t i, int argc, char **argv)
{
    struct app_options options;
    app_name = commands[i].name;
    int status = app_args(commands[i].command, argc, argv, &options) ? commands[i].run(&options) : APP_USAGE;
    app_args_free(&options);
    return status;
}

/* What was printed must have arrived, or the exit status would be a lie. */
static int flushed(int status)
{
    if (fflush(stdout) && !status) {
        app_complain("cannot write to standard output");
        return APP_FAILED;
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(word, "--version")) {
        printf("milgi %s\n", MILGI_VERSION);
        return flushed(APP_OK);
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        app_help(stdout);
        return flushed(APP_OK);
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        bool asks_help = argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"));
        if (strcmp(word, commands[i].word) != 0)
            continue;
        if (!asks_help)
            return flushed(run_command(i, argc - 1, argv + 1));
        app_help(stdout);
        return flushed(APP_OK);
    }
    if (*word)
        app_complain("there is no '%s': proxy, connect, devices, --help or --version", word);
    else
        app_complain("which? proxy, connect, devices, --help or --version");
    return APP_USAGE;
}
