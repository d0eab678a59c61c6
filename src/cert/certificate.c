/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate says, for people to read. */
#include <stdio.h>

#include "cert/cert.h"

#define TEXT_MAX 1024

int milgi_certificate_subject(const void *der, size_t len, char *out, size_t cap)
{
    return cap > 0 && milgi__cert_subject(der, len, out, cap) == 0 ? 0 : MILGI_EPARSE;
}

int milgi_certificate_issuer(const void *der, size_t len, char *out, size_t cap)
{
    return cap > 0 && milgi__cert_issuer(der, len, out, cap) == 0 ? 0 : MILGI_EPARSE;
}

int milgi_certificate_validity(const void *der, size_t len, int64_t *not_before_s, int64_t *not_after_s)
{
    return milgi__cert_validity(der, len, not_before_s, not_after_s) == 0 ? 0 : MILGI_EPARSE;
}

int milgi_certificate_key_type(const void *der, size_t len, char *out, size_t cap)
{
    struct milgi__cert_info info;

    if (milgi__cert_info(NULL, der, len, &info) != 0)
        return MILGI_EPARSE;
    milgi__key_type_text(info.type, info.bits, out, cap);
    return 0;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

struct reader {
    int (*each)(void *arg, enum milgi_name_kind kind, const char *text);
    void *arg;
};

static void print_ip(const uint8_t *ip, size_t len, char out[TEXT_MAX])
{
    size_t n = 0;

    for (size_t i = 0; len == 16 && i < len; i += 2)
        n += (size_t)snprintf(out + n, TEXT_MAX - n, "%s%x", i > 0 ? ":" : "", milgi__get16(ip + i));
    for (size_t i = 0; len != 16 && i < len && i < 16; i++)
        n += (size_t)snprintf(out + n, TEXT_MAX - n, "%s%u", i > 0 ? "." : "", ip[i]);
}

static void print_text(const uint8_t *name, size_t len, char out[TEXT_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < len && n + 5 < TEXT_MAX; i++) {
        bool plain = name[i] > ' ' && name[i] < 0x7f && name[i] != '\\';
        n += (size_t)snprintf(out + n, TEXT_MAX - n, plain ? "%c" : "\\x%02x", name[i]);
    }
}

static int print(void *arg, enum milgi_name_kind kind, const uint8_t *name, size_t len)
{
    const struct reader *reader = arg;
    char text[TEXT_MAX] = "";

    if (kind == MILGI_NAME_IP)
        print_ip(name, len, text);
    else
        print_text(name, len, text);
    return reader->each(reader->arg, kind, text);
}

int milgi_certificate_names(const void *der, size_t len,
    int (*each)(void *arg, enum milgi_name_kind kind, const char *text), void *arg)
{
    struct reader reader = { each, arg };
    int result = milgi__cert_names(der, len, print, &reader);

    return result == MILGI__BAD ? MILGI_EPARSE : result;
}
