/* SPDX-License-Identifier: Apache-2.0 */
/* Plaintext that is kept until somebody takes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <milgi/milgi.h>

struct app_piece {
    struct app_piece *next;
    struct milgi_slice slice; /* what is not taken of it */
};

struct app_pieces {
    struct app_piece *first, *last;
};

/* Keeps |slice|, which on_data lent. False: no memory. */
bool app_pieces_keep(struct app_pieces *pieces, const struct milgi_slice *slice);
/* |len| bytes of the first piece are done with. */
void app_pieces_done(struct app_pieces *pieces, size_t len);
void app_pieces_clear(struct app_pieces *pieces);
