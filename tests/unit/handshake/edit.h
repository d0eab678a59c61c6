/* SPDX-License-Identifier: Apache-2.0 */
/* Changes messages on their way, with all lengths kept right. */
#pragma once

#include "loop.h"

/* Where the extensions of a message stand (behind the length of their block); SIZE_MAX: it has none. */
size_t edit_block(const struct loop_message *m);
/* Replaces |old_len| bytes at |at| by |len| bytes of |data|; the message's length follows. */
void edit_splice(struct loop_message *m, size_t at, size_t old_len, const void *data, size_t len);
bool edit_has(const struct loop_message *m, unsigned iana);
void edit_remove(struct loop_message *m, unsigned iana);
/* At the front or, |last|, at the end. */
void edit_add(struct loop_message *m, unsigned iana, const void *body, size_t len, bool last);
void edit_set(struct loop_message *m, unsigned iana, const void *body, size_t len);
/* Where things stand in a ClientHello or ServerHello. */
size_t edit_session_id(const struct loop_message *m); /* its length byte */
size_t edit_suites(const struct loop_message *m);     /* the length of the list, or the suite */
