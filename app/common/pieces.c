/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of kept slices. */
#include "common/pieces.h"

#include <stdlib.h>

bool app_pieces_keep(struct app_pieces *pieces, const struct milgi_slice *slice)
{
    struct app_piece *piece = malloc(sizeof *piece);
    if (!piece)
        return false;
    piece->next = NULL;
    if (milgi_slice_keep(slice, &piece->slice)) {
        free(piece);
        return false;
    }
    *(pieces->first ? &pieces->last->next : &pieces->first) = piece;
    pieces->last = piece;
    return true;
}

void app_pieces_done(struct app_pieces *pieces, size_t len)
{
    struct app_piece *piece = pieces->first;
    piece->slice.data += len;
    piece->slice.len -= (uint32_t)len;
    if (piece->slice.len)
        return;
    pieces->first = piece->next;
    milgi_chunk_unref(piece->slice.chunk);
    free(piece);
}

void app_pieces_clear(struct app_pieces *pieces)
{
    while (pieces->first)
        app_pieces_done(pieces, pieces->first->slice.len);
}
