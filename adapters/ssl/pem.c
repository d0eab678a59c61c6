/* SPDX-License-Identifier: Apache-2.0 */
/* PEM (RFC 7468), to pick blocks out of files that hold more than one thing. What is in them the library judges. */
#include "shim.h"

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

bool milgi__ssl_pem_next(const struct text *text, size_t *from, const char *label, size_t *begin, size_t *end)
{
    static const char opens[] = "-----BEGIN ", closes[] = "-----END ";

    while (text->len && *from < text->len) {
        const char *at = memmem(text->data + *from, text->len - *from, opens, sizeof opens - 1);
        if (!at)
            return false;
        const char *name = at + sizeof opens - 1, *stop = text->data + text->len;
        const char *dash = memmem(name, (size_t)(stop - name), "-----", 5);
        const char *close = dash ? memmem(dash, (size_t)(stop - dash), closes, sizeof closes - 1) : NULL;
        const char *last = close ? memmem(close + 5, (size_t)(stop - close - 5), "-----", 5) : NULL;
        if (!last)
            return false;
        *begin = (size_t)(at - text->data);
        *end = (size_t)(last + 5 - text->data);
        *from = *end;
        if (ends_with(name, (size_t)(dash - name), label))
            return true;
    }
    return false;
}

bool milgi__ssl_pem_write(struct text *text, const char *label, const uint8_t *der, size_t len)
{
    char head[64], tail[64];
    int head_len = snprintf(head, sizeof head, "-----BEGIN %s-----\n", label);
    int tail_len = snprintf(tail, sizeof tail, "-----END %s-----\n", label);
    size_t room = len / 3 * 4 + len / 48 + 16;
    char *body = malloc(room);
    if (!body) {
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
        return false;
    }
    size_t n = 0;
    for (size_t at = 0; at < len; at += 48) {
        n += milgi__ssl_base64(body + n, der + at, len - at < 48 ? len - at : 48);
        body[n++] = '\n';
    }
    bool ok = milgi__ssl_append(text, head, (size_t)head_len) && milgi__ssl_append(text, body, n) &&
        milgi__ssl_append(text, tail, (size_t)tail_len);
    explicit_bzero(body, room);
    free(body);
    return ok;
}

bool milgi__ssl_pem_decode(const char *block, size_t len, uint8_t **der, size_t *der_len)
{
    const char *stop = block + len, *at = memmem(block, len, "-----BEGIN ", 11);
    at = at ? memmem(at + 11, (size_t)(stop - at - 11), "-----", 5) : NULL;
    uint8_t *out = at ? malloc(len) : NULL;
    struct unbase64 from = { 0 };

    *der_len = 0;
    if (!out)
        return false;
    for (at += 5; at < stop && *at != '-' && *at != '='; at++) {
        if (!milgi__ssl_unbase64(&from, *at, out, der_len)) {
            free(out);
            return false;
        }
    }
    *der = out;
    return true;
}
