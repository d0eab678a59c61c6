/* SPDX-License-Identifier: Apache-2.0 */
#include "edit.h"

size_t edit_session_id(const struct loop_message *m)
{
    (void)m;
    return 4 + 2 + 32;
}

size_t edit_suites(const struct loop_message *m)
{
    size_t at = edit_session_id(m);
    return at + 1 + m->data[at];
}

size_t edit_block(const struct loop_message *m)
{
    const uint8_t *p = m->data;
    size_t at;
    switch (p[0]) {
    case MILGI__MSG_CLIENT_HELLO:
        at = edit_suites(m);
        at += 2 + milgi__get16(p + at);
        return at + 1 + p[at] + 2;
    case MILGI__MSG_SERVER_HELLO:
        return edit_suites(m) + 3 + 2;
    case MILGI__MSG_ENCRYPTED_EXTENSIONS:
        return 4 + 2;
    case MILGI__MSG_CERTIFICATE_REQUEST:
        return (size_t)4 + 1 + p[4] + 2;
    case MILGI__MSG_CERTIFICATE: /* of the first entry */
        at = (size_t)4 + 1 + p[4] + 3;
        return at + 3 + milgi__get24(p + at) + 2;
    default:
        return SIZE_MAX;
    }
}

static void put24(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 16);
    milgi__put16(p + 1, (unsigned)(v & 0xffff));
}

void edit_splice(struct loop_message *m, size_t at, size_t old_len, const void *data, size_t len)
{
    assert_true(at + old_len <= m->len);
    uint8_t *to = malloc(m->len + len);
    assert_non_null(to);
    memcpy(to, m->data, at);
    if (len != 0)
        memcpy(to + at, data, len);
    memcpy(to + at + len, m->data + at + old_len, m->len - at - old_len);
    free(m->data);
    m->data = to;
    m->len = m->len - old_len + len;
    put24(m->data + 1, m->len - 4);
}

/* The block's length, and that of the list it is in, after a change inside it. */
static void grow_block(struct loop_message *m, size_t block, long by)
{
    milgi__put16(m->data + block - 2, (unsigned)((long)milgi__get16(m->data + block - 2) + by));
    if (m->data[0] == MILGI__MSG_CERTIFICATE) {
        uint8_t *list = m->data + 4 + 1 + m->data[4];
        put24(list, (size_t)((long)milgi__get24(list) + by));
    }
}

static size_t find(const struct loop_message *m, unsigned iana)
{
    size_t at = edit_block(m), end = at + milgi__get16(m->data + at - 2);
    while (at < end && milgi__get16(m->data + at) != iana)
        at += 4 + milgi__get16(m->data + at + 2);
    return at < end ? at : SIZE_MAX;
}

bool edit_has(const struct loop_message *m, unsigned iana)
{
    return find(m, iana) != SIZE_MAX;
}

void edit_remove(struct loop_message *m, unsigned iana)
{
    size_t at = find(m, iana), block = edit_block(m);
    assert_true(at != SIZE_MAX);
    size_t len = 4 + milgi__get16(m->data + at + 2);
    edit_splice(m, at, len, NULL, 0);
    grow_block(m, block, -(long)len);
}

void edit_add(struct loop_message *m, unsigned iana, const void *body, size_t len, bool last)
{
    uint8_t *whole = malloc(4 + len);
    assert_non_null(whole);
    milgi__put16(whole, iana);
    milgi__put16(whole + 2, (unsigned)len);
    if (len != 0)
        memcpy(whole + 4, body, len);
    size_t block = edit_block(m);
    edit_splice(m, block + (last ? milgi__get16(m->data + block - 2) : 0), 0, whole, 4 + len);
    grow_block(m, block, (long)(4 + len));
    free(whole);
}

void edit_set(struct loop_message *m, unsigned iana, const void *body, size_t len)
{
    if (edit_has(m, iana))
        edit_remove(m, iana);
    edit_add(m, iana, body, len, false);
}

bool edit_apply(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    const struct edit *edit = loop->tamper_arg;
    bool mine = (from == &loop->server) == edit->by_server;
    if (mine && m == loop_sent(from, edit->type, edit->nth))
        edit->fn(m);
    return true;
}

struct loop *edited(const struct edit *edit, struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_of(client, server);
    loop->tamper = edit_apply;
    loop->tamper_arg = (void *)(uintptr_t)edit;
    loop_pump(loop);
    return loop;
}
