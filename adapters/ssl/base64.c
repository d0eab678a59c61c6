/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648 4), and a BIO that writes it to another, or reads it from there. */
#include "shim.h"

#define LINE 48 /* bytes of a line of 64 characters */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t milgi__ssl_base64(char *out, const uint8_t *in, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned bits = (unsigned)in[i] << 16 | (left > 1 ? (unsigned)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        out[n++] = digits[bits >> 18 & 63];
        out[n++] = digits[bits >> 12 & 63];
        out[n++] = left > 1 ? digits[bits >> 6 & 63] : '=';
        out[n++] = left > 2 ? digits[bits & 63] : '=';
    }
    return n;
}

bool milgi__ssl_unbase64(struct unbase64 *from, char c, uint8_t *out, size_t *out_len)
{
    const char *digit = c ? strchr(digits, c) : NULL;
    if (!digit && c && strchr(" \t\r\n", c))
        return true;
    if (c == '=' && from->n % 4 + from->equal >= 2 && from->n % 4 + from->equal < 4) {
        from->equal++;
        return true;
    }
    if (!digit || from->equal)
        return false;
    from->bits = from->bits << 6 | (uint32_t)(digit - digits);
    if (++from->n % 4 != 1)
        out[(*out_len)++] = (uint8_t)(from->bits >> (6 - 2 * ((from->n - 1) % 4)));
    return true;
}

/* --- a BIO ------------------------------------------------------------------------------------------------------- */

static bool put(BIO *bio, const uint8_t *in, size_t len)
{
    char out[LINE / 3 * 4 + 1];
    size_t n = milgi__ssl_base64(out, in, len);
    if (!(bio->flags & BIO_FLAGS_BASE64_NO_NL))
        out[n++] = '\n';
    bool ok = BIO_write(bio->next, out, (int)n) == (int)n;
    explicit_bzero(out, sizeof out);
    return ok;
}

int milgi__ssl_base64_write(BIO *bio, const void *data, int n)
{
    if (!bio->next)
        return 0;
    if (!milgi__ssl_append(&bio->text, data, (size_t)n))
        return -1;
    struct text all = bio->text, rest = { 0 };
    size_t unit = bio->flags & BIO_FLAGS_BASE64_NO_NL ? 3 : LINE, at = 0;
    bool ok = true;
    while (ok && all.len - at >= unit) {
        size_t len = all.len - at < LINE ? unit : LINE;
        ok = put(bio, (const uint8_t *)all.data + at, len);
        at += len;
    }
    ok = ok && milgi__ssl_append(&rest, all.data + at, all.len - at);
    milgi__ssl_text_free(&all);
    bio->text = rest;
    return ok ? n : -1;
}

int milgi__ssl_base64_flush(BIO *bio)
{
    if (!bio->next)
        return 0;
    bool ok = !bio->text.len || put(bio, (const uint8_t *)bio->text.data, bio->text.len);
    milgi__ssl_text_free(&bio->text);
    return ok ? BIO_flush(bio->next) : 0;
}

/* All that the next one has; what it has said last. Of four digits that are not all there nothing is shown. */
static int decode(BIO *bio)
{
    char in[LINE];
    uint8_t out[LINE];
    int n = 0;

    while (!bio->in_over && (n = BIO_read(bio->next, in, sizeof in)) > 0) {
        size_t len = 0, shown = 0;
        for (int i = 0; i < n && !bio->in_over; i++) {
            bio->in_over = !milgi__ssl_unbase64(&bio->in, in[i], out, &len);
            if ((bio->in.n + bio->in.equal) % 4 == 0)
                shown = bio->text.len + len;
        }
        bio->in_over = bio->in_over || !milgi__ssl_append(&bio->text, out, len);
        bio->shown = shown ? shown : bio->shown;
    }
    if (bio->in_over)
        bio->shown = bio->first;
    explicit_bzero(in, sizeof in);
    explicit_bzero(out, sizeof out);
    return bio->in_over ? 0 : n;
}

int milgi__ssl_base64_read(BIO *bio, void *data, int n)
{
    if (!bio->next)
        return 0;
    int rv = decode(bio);
    size_t held = bio->shown - bio->first;
    size_t taken = held < (size_t)n ? held : (size_t)n;
    if (!taken)
        return rv;
    memcpy(data, bio->text.data + bio->first, taken);
    bio->first += taken;
    return (int)taken;
}
