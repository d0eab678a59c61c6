/* SPDX-License-Identifier: Apache-2.0 */
/* What the lying peer changes in the messages that it sends. */
#include <stdio.h>
#include <stdlib.h>

#include "liar.h"

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "liar: %s\n", what);
    abort();
}

static void put24(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 16);
    milgi__put16(p + 1, (unsigned)(v & 0xffff));
}

void liar_splice(struct pair_bytes *m, size_t at, size_t old_len, const void *data, size_t len)
{
    must(at + old_len <= m->len, "a change behind the end");
    struct pair_bytes made = { 0 };
    pair_bytes_add(&made, m->p, at);
    pair_bytes_add(&made, data, len);
    pair_bytes_add(&made, m->p + at + old_len, m->len - at - old_len);
    free(m->p);
    *m = made;
    put24(m->p + 1, m->len - 4);
}

size_t liar_at_session_id(const struct pair_bytes *m)
{
    (void)m;
    return 4 + 2 + 32;
}

size_t liar_at_suites(const struct pair_bytes *m)
{
    size_t at = liar_at_session_id(m);
    return at + 1 + m->p[at];
}

size_t liar_block(const struct pair_bytes *m)
{
    const uint8_t *p = m->p;
    size_t at;
    switch (p[0]) {
    case MILGI__MSG_CLIENT_HELLO:
        at = liar_at_suites(m);
        at += 2 + milgi__get16(p + at);
        return at + 1 + p[at] + 2;
    case MILGI__MSG_SERVER_HELLO: return liar_at_suites(m) + 3 + 2;
    case MILGI__MSG_ENCRYPTED_EXTENSIONS: return 4 + 2;
    case MILGI__MSG_CERTIFICATE_REQUEST: return (size_t)4 + 1 + p[4] + 2;
    case MILGI__MSG_CERTIFICATE: /* of the first entry */
        at = (size_t)4 + 1 + p[4] + 3;
        return at + 3 + milgi__get24(p + at) + 2;
    case MILGI__MSG_NEW_SESSION_TICKET:
        at = (size_t)4 + 8 + 1 + p[12];
        return at + 2 + milgi__get16(p + at) + 2;
    default: return 0;
    }
}

/* The block's length, and that of the list it is in, after a change inside it. */
static void grow_block(struct pair_bytes *m, size_t block, long by)
{
    milgi__put16(m->p + block - 2, (unsigned)((long)milgi__get16(m->p + block - 2) + by));
    if (m->p[0] == MILGI__MSG_CERTIFICATE) {
        uint8_t *list = m->p + 4 + 1 + m->p[4];
        put24(list, (size_t)((long)milgi__get24(list) + by));
    }
}

static size_t find(const struct pair_bytes *m, unsigned iana)
{
    size_t at = liar_block(m), end = at + milgi__get16(m->p + at - 2);
    while (at < end && milgi__get16(m->p + at) != iana)
        at += 4 + milgi__get16(m->p + at + 2);
    return at < end ? at : 0;
}

bool liar_ext_has(const struct pair_bytes *m, unsigned iana)
{
    return find(m, iana) != 0;
}

void liar_ext_remove(struct pair_bytes *m, unsigned iana)
{
    size_t at = find(m, iana), block = liar_block(m);
    must(at != 0, "no such extension");
    size_t len = 4 + milgi__get16(m->p + at + 2);
    liar_splice(m, at, len, NULL, 0);
    grow_block(m, block, -(long)len);
}

void liar_ext_add(struct pair_bytes *m, unsigned iana, const void *body, size_t len, bool last)
{
    struct pair_bytes whole = { 0 };
    uint8_t head[4];
    milgi__put16(head, iana);
    milgi__put16(head + 2, (unsigned)len);
    pair_bytes_add(&whole, head, 4);
    pair_bytes_add(&whole, body, len);
    size_t block = liar_block(m);
    liar_splice(m, block + (last ? milgi__get16(m->p + block - 2) : 0), 0, whole.p, whole.len);
    grow_block(m, block, (long)whole.len);
    free(whole.p);
}

void liar_ext_set(struct pair_bytes *m, unsigned iana, const void *body, size_t len)
{
    if (liar_ext_has(m, iana))
        liar_ext_remove(m, iana);
    liar_ext_add(m, iana, body, len, false);
}
