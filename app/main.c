/* SPDX-License-Identifier: Apache-2.0 */
/* The milgi command: which subcommand it is. */
#include "commands.h"
#include "common/say.h"
#include "common/show.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A descriptor that was closed before the start would be the number of the first socket, and whatever is said would go
 * to a client. What is there instead can neither be read nor written as standard descriptors are.
 */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            (void)!open("/", O_RDONLY | O_DIRECTORY);
}

/* A supervisor may send them as soon as there is a process; they are heard when there is somebody to hear them. */
static void defer_signals(void)
{
    sigset_t early;
    sigemptyset(&early);
    sigaddset(&early, SIGHUP);
    sigaddset(&early, SIGUSR1);
    sigprocmask(SIG_BLOCK, &early, NULL);
}

static const struct {
    const char *word, *name;
    enum app_command command;
    int (*run)(const struct app_options *options);
} commands[] = {
    { "proxy", "milgi proxy", APP_PROXY, app_proxy },
    { "connect", "milgi connect", APP_CONNECT, app_connect },
    { "keyserver", "milgi keyserver", APP_KEYSERVER, app_keyserver },
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

/* So that nothing is written before it is flushed, where an error can be told with its reason. */
static void hold_output(void)
{
    static char room[65536];
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, room, _IOFBF, sizeof room);
}

/* What was printed must have arrived, or the exit status would be a lie. */
static int flushed(int status)
{
    int error = fflush(stdout) ? errno : 0;
    bool failed = error || ferror(stdout);
    if (failed)
        app_complain("cannot write to standard output: %s", error ? strerror(error) : "it failed before the end");
    app_say_last();
    return failed && !status ? APP_FAILED : status;
}

static int run(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    bool asks_help = argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"));
    if (!strcmp(word, "--version")) {
        printf("milgi %s\n", MILGI_VERSION);
        return APP_OK;
    }
    if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
        app_help(stdout);
        return APP_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(word, commands[i].word) != 0)
            continue;
        if (!asks_help)
            return run_command(i, argc - 1, argv + 1);
        app_help(stdout);
        return APP_OK;
    }
    if (*word)
        app_complain("there is no '%s': proxy, connect, keyserver, devices, --help or --version", word);
    else
        app_complain("which? proxy, connect, keyserver, devices, --help or --version");
    return APP_USAGE;
}

int main(int argc, char **argv)
{
    if (argc > 1 && (!strcmp(argv[1], "proxy") || !strcmp(argv[1], "keyserver")))
        defer_signals();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that must not grow is an error like others */
    fill_standard_descriptors();
    hold_output();
    app_show_arguments(argc, argv);
    app_say_init();
    return flushed(run(argc, argv));
}
