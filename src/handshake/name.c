/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are addresses: RFC 6066 3 forbids them in server_name, and certificates hold them in another form. */
#include "handshake/hs.h"

/* Four numbers with dots between them; returns what follows, or NULL. */
static const char *read_v4(const char *s, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned v = 0, digits = 0;
        for (; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
            v = 10 * v + (unsigned)(*s - '0');
        if (digits == 0 || v > 255 || (digits > 1 && s[-(int)digits] == '0'))
            return NULL;
        out[i] = (uint8_t)v;
        if (i < 3 && *s++ != '.')
            return NULL;
    }
    return s;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One group of up to four digits; returns what follows, or NULL. */
static const char *read_group(const char *s, uint8_t out[2])
{
    unsigned v = 0, digits = 0;
    for (; hex(*s) >= 0 && digits < 4; s++, digits++)
        v = v << 4 | (unsigned)hex(*s);
    if (digits == 0)
        return NULL;
    milgi__put16(out, v);
    return s;
}

static bool read_v6(const char *s, uint8_t out[16])
{
    size_t n = 0, gap = 17; /* bytes read; where "::" stands */
    memset(out, 0, 16);
    if (s[0] == ':' && *++s != ':')
        return false;
    while (*s != '\0') {
        if (*s == ':') {
            if (gap <= 16)
                return false;
            gap = n;
            s++;
            continue;
        }
        const char *end = n <= 12 ? read_v4(s, out + n) : NULL;
        if (end != NULL && *end == '\0') {
            n += 4;
            break;
        }
        s = n <= 14 ? read_group(s, out + n) : NULL;
        if (s == NULL || (*s != ':' && *s != '\0'))
            return false;
        n += 2;
        if (*s == ':' && *++s == '\0')
            return false;
    }
    if (gap > 16)
        return n == 16;
    if (n > 14)
        return false;
    memmove(out + 16 - (n - gap), out + gap, n - gap);
    memset(out + gap, 0, 16 - n);
    return true;
}

size_t milgi__name_ip(const char *name, uint8_t out[16])
{
    const char *end = read_v4(name, out);
    if (end != NULL && *end == '\0')
        return 4;
    return strchr(name, ':') != NULL && read_v6(name, out) ? 16 : 0;
}
