/* SPDX-License-Identifier: Apache-2.0 */
/* What every part of the command says, and the statuses with which it ends. */
#pragma once

#include <stdio.h>

/* Exit statuses, the same for every subcommand. */
enum app_exit {
    APP_OK = 0,
    APP_FAILED = 1,    /* a file, a port, a connection */
    APP_USAGE = 2,     /* the arguments */
    APP_UNVERIFIED = 3 /* connect: the server was not who it should be */
};

/* Prints "milgi SUBCOMMAND: ..." and a newline on stderr. */
void app_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What app_complain() calls the program. */
extern const char *app_name;
