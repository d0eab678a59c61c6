/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: taken apart once, when they are made; nothing of them is judged here. */
#include "shim.h"

#include <limits.h>

bool milgi__ssl_string(ASN1_STRING *string, int type, const void *data, size_t len)
{
    *string = (ASN1_STRING){ (int)len, type, len < INT_MAX ? malloc(len + 1) : NULL, 0 };
    if (!string->data)
        return false;
    if (len)
        memcpy(string->data, data, len);
    string->data[len] = 0;
    return true;
}

static bool take_string(struct der *in, ASN1_STRING *string)
{
    uint8_t tag;
    struct der contents;
    return milgi__ssl_der_next(in, &tag, &contents, NULL) &&
        milgi__ssl_string(string, tag, contents.data, contents.len);
}

static bool take_extension(X509 *x, struct der one)
{
    struct der object, next;
    uint8_t tag;
    if (!milgi__ssl_der_take(&one, 6, &object) || !milgi__ssl_der_next(&one, &tag, &next, NULL))
        return false;
    int critical = tag == 1 && next.len == 1 && next.data[0] != 0;
    if (tag == 1 && !milgi__ssl_der_next(&one, &tag, &next, NULL))
        return false;
    X509_EXTENSION *grown = tag == 4 ? realloc(x->extensions, (x->extensions_n + 1) * sizeof *grown) : NULL;
    if (!grown)
        return false;
    x->extensions = grown;
    grown[x->extensions_n++] = (X509_EXTENSION){ { object.data, object.len }, critical, next };
    return true;
}

static bool take_extensions(X509 *x, struct der contents)
{
    struct der all, one;
    if (!milgi__ssl_der_take(&contents, 0x30, &all))
        return false;
    while (all.len)
        if (!milgi__ssl_der_take(&all, 0x30, &one) || !take_extension(x, one))
            return false;
    return true;
}

/* What stands in a TBSCertificate (RFC 5280 4.1) behind its signature algorithm. */
static bool take_body(X509 *x, struct der *tbs)
{
    uint8_t tag;
    struct der subject, issuer, validity, ignored, whole;

    if (!milgi__ssl_der_next(tbs, &tag, &ignored, &issuer) || tag != 0x30 || !milgi__ssl_name_parse(&x->issuer, issuer))
        return false;
    if (!milgi__ssl_der_take(tbs, 0x30, &validity) || !take_string(&validity, &x->not_before) ||
        !take_string(&validity, &x->not_after))
        return false;
    if (!milgi__ssl_der_next(tbs, &tag, &ignored, &subject) || tag != 0x30 ||
        !milgi__ssl_name_parse(&x->subject, subject))
        return false;
    if (!milgi__ssl_der_next(tbs, &tag, &ignored, &whole) || tag != 0x30)
        return false;
    x->key.der = whole;
    while (tbs->len) {
        struct der contents;
        if (!milgi__ssl_der_next(tbs, &tag, &contents, NULL))
            return false;
        if (tag == 0xa3 && !take_extensions(x, contents))
            return false;
    }
    return true;
}

static bool take_apart(X509 *x)
{
    struct der in = { x->der, x->len }, certificate, tbs, ignored;

    if (!milgi__ssl_der_take(&in, 0x30, &certificate) || in.len || !milgi__ssl_der_take(&certificate, 0x30, &tbs))
        return false;
    if (tbs.len && tbs.data[0] == 0xa0 && !milgi__ssl_der_take(&tbs, 0xa0, &ignored))
        return false;
    return take_string(&tbs, &x->serial) && milgi__ssl_der_take(&tbs, 0x30, &ignored) && take_body(x, &tbs);
}

static void destroy(X509 *x)
{
    milgi__ssl_name_clear(&x->subject);
    milgi__ssl_name_clear(&x->issuer);
    free(x->serial.data);
    free(x->not_before.data);
    free(x->not_after.data);
    free(x->extensions);
    free(x->der);
    free(x);
}

X509 *d2i_X509(X509 **out, const unsigned char **in, long len)
{
    X509 *x = len > 0 && len <= (long)FILE_LIMIT ? calloc(1, sizeof *x) : NULL;
    if (!x || !(x->der = malloc((size_t)len))) {
        free(x);
        LIB_ERR(ERR_LIB_ASN1, ERR_R_MALLOC_FAILURE, NULL);
        return NULL;
    }
    struct der from = { *in, (size_t)len }, contents, whole;
    uint8_t tag;
    x->refs = 1;
    if (milgi__ssl_der_next(&from, &tag, &contents, &whole)) {
        memcpy(x->der, whole.data, whole.len);
        x->len = whole.len;
    }
    if (!x->len || !take_apart(x)) {
        destroy(x);
        LIB_ERR(ERR_LIB_ASN1, ERR_R_PASSED_INVALID_ARGUMENT, "this is no certificate");
        return NULL;
    }
    *in += x->len;
    if (out) {
        X509_free(*out);
        *out = x;
    }
    return x;
}

static int write_der(struct der der, unsigned char **out)
{
    if (out && !*out) {
        *out = malloc(der.len);
        if (!*out)
            return -1;
        memcpy(*out, der.data, der.len);
    } else if (out) {
        memcpy(*out, der.data, der.len);
        *out += der.len;
    }
    return (int)der.len;
}

int i2d_X509(const X509 *x, unsigned char **out)
{
    return write_der((struct der){ x->der, x->len }, out);
}

int X509_up_ref(X509 *x)
{
    x->refs++;
    return 1;
}

void X509_free(X509 *x)
{
    if (x && --x->refs == 0)
        destroy(x);
}

int X509_cmp(const X509 *a, const X509 *b)
{
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return memcmp(a->der, b->der, a->len);
}

/* The interface has them without const. */
#define MUTABLE(type, p) ((type *)(uintptr_t)(p))

X509_NAME *X509_get_subject_name(const X509 *x)
{
    return MUTABLE(X509_NAME, &x->subject);
}

X509_NAME *X509_get_issuer_name(const X509 *x)
{
    return MUTABLE(X509_NAME, &x->issuer);
}

X509_PUBKEY *X509_get_X509_PUBKEY(const X509 *x)
{
    return MUTABLE(X509_PUBKEY, &x->key);
}

int i2d_X509_PUBKEY(const X509_PUBKEY *key, unsigned char **out)
{
    return write_der(key->der, out);
}

const ASN1_INTEGER *X509_get0_serialNumber(const X509 *x)
{
    return &x->serial;
}

const ASN1_TIME *X509_get0_notBefore(const X509 *x)
{
    return &x->not_before;
}

const ASN1_TIME *X509_get0_notAfter(const X509 *x)
{
    return &x->not_after;
}

int X509_get_ext_count(const X509 *x)
{
    return (int)x->extensions_n;
}

X509_EXTENSION *X509_get_ext(const X509 *x, int i)
{
    return i >= 0 && (size_t)i < x->extensions_n ? &x->extensions[i] : NULL;
}

ASN1_OBJECT *X509_EXTENSION_get_object(X509_EXTENSION *extension)
{
    return extension ? &extension->object : NULL;
}

int X509_EXTENSION_get_critical(const X509_EXTENSION *extension)
{
    return extension && extension->critical;
}

struct v3_ext_method {
    int nid;
};

const X509V3_EXT_METHOD *X509V3_EXT_get(X509_EXTENSION *extension)
{
    static const X509V3_EXT_METHOD names = { NID_subject_alt_name };
    return extension && OBJ_obj2nid(&extension->object) == names.nid ? &names : NULL;
}

bool milgi__ssl_extension(const X509 *x, int nid, struct der *value, int *critical)
{
    for (size_t i = 0; i < x->extensions_n; i++) {
        const X509_EXTENSION *e = &x->extensions[i];
        if (OBJ_obj2nid(&e->object) != nid)
            continue;
        *value = e->value;
        *critical = e->critical;
        return true;
    }
    return false;
}

/* --- strings ----------------------------------------------------------------------------------------------------- */

int ASN1_STRING_length(const ASN1_STRING *string)
{
    return string->length;
}

const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *string)
{
    return string->data;
}

unsigned char *ASN1_STRING_data(ASN1_STRING *string)
{
    return string->data;
}

int ASN1_STRING_type(const ASN1_STRING *string)
{
    return string->type;
}

int ASN1_STRING_cmp(const ASN1_STRING *a, const ASN1_STRING *b)
{
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    int rv = memcmp(a->data, b->data, (size_t)a->length);
    return rv ? rv : a->type - b->type;
}

void ASN1_STRING_free(ASN1_STRING *string)
{
    if (string)
        free(string->data);
    free(string);
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (c & 63));
    return 4;
}

/* How many bytes a character has; 0: it is UTF-8 already; -1: it is no text. */
static int width(int type)
{
    switch (type) {
    case V_ASN1_UTF8STRING: return 0;
    case V_ASN1_NUMERICSTRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_T61STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_VISIBLESTRING: return 1;
    case V_ASN1_BMPSTRING: return 2;
    case V_ASN1_UNIVERSALSTRING: return 4;
    default: return -1;
    }
}

int ASN1_STRING_to_UTF8(unsigned char **out, const ASN1_STRING *string)
{
    int each = width(string->type);
    size_t n = 0, len = (size_t)string->length;
    if (each < 0 || (each > 1 && len % (size_t)each))
        return -1;
    uint8_t *text = malloc(2 * len + 1);
    if (!text)
        return -1;
    if (each == 0) {
        memcpy(text, string->data, len);
        n = len;
    }
    for (size_t i = 0; each > 0 && i < len; i += (size_t)each) {
        uint32_t c = 0;
        for (int k = 0; k < each; k++)
            c = c << 8 | string->data[i + (size_t)k];
        if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
            free(text);
            return -1;
        }
        n += put_utf8(text + n, c);
    }
    text[n] = 0;
    *out = text;
    return (int)n;
}

static int digits(const uint8_t *at, int n)
{
    int value = 0;
    while (n-- > 0) {
        if (*at < '0' || *at > '9')
            return -1;
        value = 10 * value + *at++ - '0';
    }
    return value;
}

int ASN1_TIME_to_tm(const ASN1_TIME *time, struct tm *tm)
{
    bool is_long = time->type == V_ASN1_GENERALIZEDTIME;
    const uint8_t *at = time->data;
    if (time->length != (is_long ? 15 : 13) || at[time->length - 1] != 'Z')
        return 0;
    int year = digits(at, is_long ? 4 : 2);
    at += is_long ? 4 : 2;
    *tm = (struct tm){ .tm_mon = digits(at, 2) - 1, .tm_mday = digits(at + 2, 2), .tm_hour = digits(at + 4, 2) };
    tm->tm_min = digits(at + 6, 2);
    tm->tm_sec = digits(at + 8, 2);
    /* RFC 5280 4.1.2.5.1: 50 to 99 are of the last century */
    tm->tm_year = is_long ? year - 1900 : year < 50 ? year + 100
                                                    : year;
    return year >= 0 && tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday > 0 && tm->tm_hour >= 0 && tm->tm_min >= 0 &&
        tm->tm_sec >= 0;
}

int ASN1_TIME_print(BIO *bio, const ASN1_TIME *time)
{
    static const char months[12][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };
    struct tm tm;
    if (!ASN1_TIME_to_tm(time, &tm)) {
        BIO_puts(bio, "Bad time value");
        return 0;
    }
    int n = BIO_printf(bio, "%s %2d %02d:%02d:%02d %d GMT", months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min,
        tm.tm_sec, tm.tm_year + 1900);
    return n > 0;
}

/* --- PEM --------------------------------------------------------------------------------------------------------- */

/* The first block of that label, to |text|. */
static bool read_block(BIO *bio, const char *label, struct text *text)
{
    char line[1024], begin[64], end[64];
    int n;
    bool inside = false, whole = false;

    snprintf(begin, sizeof begin, "-----BEGIN %s-----", label);
    snprintf(end, sizeof end, "-----END %s-----", label);
    while (!whole && (n = BIO_gets(bio, line, sizeof line)) > 0) {
        inside = inside || strstr(line, begin);
        if (inside && !milgi__ssl_append(text, line, (size_t)n))
            break;
        whole = inside && strstr(line, end);
    }
    return whole;
}

X509 *PEM_read_bio_X509(BIO *bio, X509 **x, pem_password_cb *cb, void *arg)
{
    struct text text = { 0 };
    X509 *found = NULL;

    (void)cb;
    (void)arg;
    bool whole = read_block(bio, "CERTIFICATE", &text);
    uint8_t *der;
    size_t len;
    if (whole && milgi__ssl_pem_decode(text.data, text.len, &der, &len)) {
        const unsigned char *at = der;
        found = d2i_X509(x, &at, (long)len);
        free(der);
    } else {
        LIB_ERR(ERR_LIB_PEM, PEM_R_NO_START_LINE, "no certificate");
    }
    milgi__ssl_text_free(&text);
    return found;
}

int PEM_write_bio_X509(BIO *bio, X509 *x)
{
    struct text text = { 0 };
    bool ok = milgi__ssl_pem_write(&text, "CERTIFICATE", x->der, x->len) &&
        BIO_write(bio, text.data, (int)text.len) == (int)text.len;
    milgi__ssl_text_free(&text);
    return ok;
}

X509_CRL *PEM_read_bio_X509_CRL(BIO *bio, X509_CRL **crl, pem_password_cb *cb, void *arg)
{
    struct text pem = { 0 };
    X509_CRL *found = NULL;

    (void)cb;
    (void)arg;
    if (!read_block(bio, "X509 CRL", &pem) || milgi_trust_add_crls_pem(NULL, pem.data, pem.len, NULL))
        LIB_ERR(ERR_LIB_PEM, PEM_R_NO_START_LINE, "no CRL that can be used");
    else
        found = calloc(1, sizeof *found);
    if (!found) {
        milgi__ssl_text_free(&pem);
        return NULL;
    }
    found->refs = 1;
    found->pem = pem;
    if (crl) {
        X509_CRL_free(*crl);
        *crl = found;
    }
    return found;
}

int X509_CRL_up_ref(X509_CRL *crl)
{
    crl->refs++;
    return 1;
}

void X509_CRL_free(X509_CRL *crl)
{
    if (!crl || --crl->refs != 0)
        return;
    milgi__ssl_text_free(&crl->pem);
    free(crl);
}
