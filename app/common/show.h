/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as they may be shown: without the PINs of tokens, and without what a terminal would take for orders. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The arguments of the command, which live as long as it does: what is secret in them is known from here on. */
void app_show_arguments(int argc, char **argv);

/*
 * |text| as it may be shown; to be freed, NULL: no memory. Values of pin-value are cut out wherever they stand and
 * however they are spelled. Control characters, those that change the direction of writing or cannot be seen, and
 * bytes that are no UTF-8 become \xNN; line ends too unless |lines|.
 */
char *app_show(const char *text, bool lines);
