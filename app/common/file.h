/* SPDX-License-Identifier: Apache-2.0 */
/* Files with certificates and keys, read once and whole: so they may be pipes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All of |file|, with a zero behind it; to be given to app_file_free(). A pipe is waited for |patience_ms|. Returns
 * NULL, or what is wrong, a text that stays until the next call in this thread.
 */
const char *app_file_read(const char *file, uint32_t patience_ms, char **text, size_t *len);
/*
 * The first line of |file|, if that is not NULL, without its end, in the same way. False: it has complained.
 */
bool app_file_passphrase(const char *file, uint32_t patience_ms, char **line, size_t *len);
/* Wipes it, since it may have been a key. NULL is allowed. */
void app_file_free(char *text, size_t len);
