/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that servers are asked for. Those that are addresses RFC 6066 3 forbids in server_name, and certificates hold
 * them in another form; those that are neither addresses nor host names nobody can have a certificate for.
 */
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
        if (end && *end == '\0') {
            n += 4;
            break;
        }
        s = n <= 14 ? read_group(s, out + n) : NULL;
        if (!s || (*s != ':' && *s != '\0'))
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
    if (end && *end == '\0')
        return 4;
    return strchr(name, ':') && read_v6(name, out) ? 16 : 0;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static bool is_number(const char *label, size_t len)
{
    bool is_hex = len >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
    for (size_t i = is_hex ? 2 : 0; i < len; i++) {
        if (is_hex ? hex(label[i]) < 0 : label[i] < '0' || label[i] > '9')
            return false;
    }
    return true;
}

bool milgi__name_ok(const char *name)
{
    uint8_t ip[16];
    if (milgi__name_ip(name, ip) != 0)
        return true;
    size_t len = strlen(name), label = 0;
    if (len > 0 && name[len - 1] == '.')
        len--;
    for (size_t i = 0; i < len && len <= 255; i++) {
        if (name[i] == '.' && i == label)
            return false;
        if (name[i] == '.')
            label = i + 1;
        else if (!is_letter(name[i]) || i - label == 63)
            return false;
    }
    /*= RFC1123 2.1: "a valid host name can never have the dotted-decimal form #.#.#.#, since at least the highest-level
     *= component label will be alphabetic" */
    return label < len && len <= 255 && !is_number(name + label, len - label);
}
