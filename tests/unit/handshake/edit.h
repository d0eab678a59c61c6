/* SPDX-License-Identifier: Apache-2.0 */
/* Changes messages on their way, with all lengths kept right. */
#pragma once

#include "extensions.h"
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

/* --- one change to one message ---------------------------------------------------------------------------------- */

typedef void (*edit_fn)(struct loop_message *m);

/* Changes the nth message of a type that one side sends. */
struct edit {
    unsigned type, nth;
    bool by_server;
    edit_fn fn;
};
/* As loop->tamper, with a struct edit as loop->tamper_arg. */
bool edit_apply(struct loop *loop, struct loop_end *from, struct loop_message *m);
/* Runs a whole handshake with this change. */
struct loop *edited(const struct edit *edit, struct milgi_config *client, struct milgi_config *server);

#define SET(m, iana, body) edit_set(m, iana, body, sizeof(body) - 1)
#define ADD(m, iana, body) edit_add(m, iana, body, sizeof(body) - 1, false)
