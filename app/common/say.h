/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command says on standard error, and the statuses with which it ends. Nothing here waits for whoever reads
 * standard error; nothing shows a PIN, or lets a peer's text give orders to a terminal.
 */
#pragma once

#include <stdbool.h>

/* Exit statuses, the same for every subcommand. */
enum app_exit {
    APP_OK = 0,
    APP_FAILED = 1,    /* a file, a port, a connection */
    APP_USAGE = 2,     /* the arguments */
    APP_UNVERIFIED = 3 /* connect: the server was not who it should be */
};

/* What app_complain() calls the program. */
extern const char *app_name;

/* Before anything is said: standard error is ours from here on. */
void app_say_init(void);

/* "milgi SUBCOMMAND: ..." and a newline, in one piece. From any thread. */
void app_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same without the name before it. */
void app_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* "milgi SUBCOMMAND: ..." with several lines. */
void app_report(const char *title, const char *lines);

/* A line on standard output, which is not waited for either. False: it has complained that nobody will get it. */
bool app_announce(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Something is held for want of a reader, or was dropped and that is not told yet: app_say_again() later. */
bool app_say_pending(void);
void app_say_again(void);
/* At the end: waits a moment for a reader. */
void app_say_last(void);
/* In a child, after fork(). */
void app_say_forked(void);
