/* SPDX-License-Identifier: Apache-2.0 */
/* Names: of owners and issuers, and the subjectAltName. */
#include "shim.h"

#include <arpa/inet.h>
#include <ctype.h>

/* --- object identifiers ------------------------------------------------------------------------------------------ */

static const struct object {
    int nid;
    const char *short_name, *long_name, *der;
    size_t len;
} objects[] = {
#define MILGI_SSL_X(nid, value, sn, ln, der) { nid, sn, ln, der, sizeof der - 1 },
    MILGI_SSL_OBJECTS(MILGI_SSL_X)
#undef MILGI_SSL_X
};
#define OBJECTS_N (sizeof objects / sizeof *objects)

int OBJ_obj2nid(const ASN1_OBJECT *object)
{
    for (size_t i = 0; object && i < OBJECTS_N; i++)
        if (object->len == objects[i].len && memcmp(object->der, objects[i].der, object->len) == 0)
            return objects[i].nid;
    return NID_undef;
}

static const char *text_of(int nid, bool is_long)
{
    for (size_t i = 0; i < OBJECTS_N; i++)
        if (objects[i].nid == nid)
            return is_long ? objects[i].long_name : objects[i].short_name;
    return NULL;
}

const char *OBJ_nid2sn(int nid)
{
    return nid == NID_undef ? "UNDEF" : text_of(nid, false);
}

const char *OBJ_nid2ln(int nid)
{
    return nid == NID_undef ? "undefined" : text_of(nid, true);
}

/* --- names ------------------------------------------------------------------------------------------------------- */

static bool add_entry(X509_NAME *name, struct der pair, int set)
{
    uint8_t tag;
    struct der object, value;
    if (!milgi__ssl_der_take(&pair, 6, &object) || !milgi__ssl_der_next(&pair, &tag, &value, NULL) || pair.len)
        return false;
    X509_NAME_ENTRY *grown = realloc(name->entries, (name->n + 1) * sizeof *grown);
    if (!grown)
        return false;
    name->entries = grown;
    X509_NAME_ENTRY *entry = &grown[name->n];
    *entry = (X509_NAME_ENTRY){ { object.data, object.len }, { 0 }, set };
    if (!milgi__ssl_string(&entry->value, tag, value.data, value.len))
        return false;
    name->n++;
    return true;
}

bool milgi__ssl_name_parse(X509_NAME *name, struct der der)
{
    struct der in = der, sets, pairs, pair;
    *name = (X509_NAME){ .der = der };
    if (!milgi__ssl_der_take(&in, 0x30, &sets) || in.len)
        return false;
    for (int set = 0; sets.len; set++) {
        if (!milgi__ssl_der_take(&sets, 0x31, &pairs))
            return false;
        while (pairs.len)
            if (!milgi__ssl_der_take(&pairs, 0x30, &pair) || !add_entry(name, pair, set))
                return false;
    }
    return true;
}

void milgi__ssl_name_clear(X509_NAME *name)
{
    for (size_t i = 0; i < name->n; i++)
        free(name->entries[i].value.data);
    free(name->entries);
    *name = (X509_NAME){ 0 };
}

X509_NAME *milgi__ssl_name_copy(const X509_NAME *name)
{
    X509_NAME *copy = calloc(1, sizeof *copy);
    uint8_t *own = malloc(name->der.len);
    if (copy && own) {
        memcpy(own, name->der.data, name->der.len);
        if (milgi__ssl_name_parse(copy, (struct der){ own, name->der.len })) {
            copy->own = own;
            return copy;
        }
        milgi__ssl_name_clear(copy);
    }
    free(copy);
    free(own);
    return NULL;
}

void X509_NAME_free(X509_NAME *name)
{
    if (!name)
        return;
    free(name->own);
    milgi__ssl_name_clear(name);
    free(name);
}

int X509_NAME_entry_count(const X509_NAME *name)
{
    return (int)name->n;
}

X509_NAME_ENTRY *X509_NAME_get_entry(const X509_NAME *name, int i)
{
    return name && i >= 0 && (size_t)i < name->n ? &name->entries[i] : NULL;
}

ASN1_STRING *X509_NAME_ENTRY_get_data(const X509_NAME_ENTRY *entry)
{
    return entry ? (ASN1_STRING *)(uintptr_t)&entry->value : NULL;
}

ASN1_OBJECT *X509_NAME_ENTRY_get_object(const X509_NAME_ENTRY *entry)
{
    return entry ? (ASN1_OBJECT *)(uintptr_t)&entry->object : NULL;
}

int X509_NAME_get_index_by_NID(const X509_NAME *name, int nid, int last)
{
    for (size_t i = last < 0 ? 0 : (size_t)last + 1; name && i < name->n; i++)
        if (OBJ_obj2nid(&name->entries[i].object) == nid)
            return (int)i;
    return -1;
}

int X509_NAME_get_text_by_NID(const X509_NAME *name, int nid, char *buf, int n)
{
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, X509_NAME_get_index_by_NID(name, nid, -1));
    if (!entry)
        return -1;
    if (!buf)
        return entry->value.length;
    if (n <= 0)
        return 0;
    int len = entry->value.length < n - 1 ? entry->value.length : n - 1;
    memcpy(buf, entry->value.data, (size_t)len);
    buf[len] = 0;
    return len;
}

int X509_NAME_cmp(const X509_NAME *a, const X509_NAME *b)
{
    if (a->der.len != b->der.len)
        return a->der.len < b->der.len ? -1 : 1;
    return memcmp(a->der.data, b->der.data, a->der.len);
}

/* --- as text ----------------------------------------------------------------------------------------------------- */

static bool put(struct text *out, const char *text)
{
    return milgi__ssl_append(out, text, strlen(text));
}

static bool put_object(struct text *out, const ASN1_OBJECT *object)
{
    const char *known = text_of(OBJ_obj2nid(object), false);
    char number[32];
    uint64_t arc = 0;
    bool first = true;

    if (known || !object)
        return known && put(out, known);
    for (size_t i = 0; i < object->len; i++) {
        arc = arc << 7 | (object->der[i] & 0x7f);
        if (object->der[i] & 0x80)
            continue;
        if (first)
            snprintf(number, sizeof number, "%u.%llu", arc < 80 ? (unsigned)(arc / 40) : 2u,
                (unsigned long long)(arc < 80 ? arc % 40 : arc - 80));
        else
            snprintf(number, sizeof number, ".%llu", (unsigned long long)arc);
        if (!put(out, number))
            return false;
        first = false;
        arc = 0;
    }
    return true;
}

/* As RFC 2253 2.4 has it; whatever is not ASCII, by its bytes. */
static bool put_value(struct text *out, const ASN1_STRING *value, bool quoted)
{
    unsigned char *text = NULL;
    int len = ASN1_STRING_to_UTF8(&text, value);
    const uint8_t *from = len < 0 ? value->data : text;
    size_t n = (size_t)(len < 0 ? value->length : len);
    bool ok = true;

    for (size_t i = 0; ok && i < n; i++) {
        char piece[8];
        uint8_t c = from[i];
        bool end = (i == 0 && (c == '#' || c == ' ')) || (i == n - 1 && c == ' ');
        if (c < 0x20 || c > 0x7e)
            snprintf(piece, sizeof piece, quoted ? "\\%02X" : "\\x%02X", c);
        else
            snprintf(piece, sizeof piece, quoted && (end || strchr(",+\"\\<>;", c)) ? "\\%c" : "%c", c);
        ok = put(out, piece);
    }
    free(text);
    return ok;
}

static bool print_name(struct text *out, const X509_NAME *name, unsigned long flags)
{
    bool spaced = (flags & XN_FLAG_SEP_CPLUS_SPC) != 0, reverse = (flags & XN_FLAG_DN_REV) != 0;
    const X509_NAME_ENTRY *before = NULL;

    for (size_t i = 0; i < name->n; i++) {
        const X509_NAME_ENTRY *e = &name->entries[reverse ? name->n - 1 - i : i];
        bool joined = before && before->set == e->set;
        if (before && !put(out, joined ? (spaced ? " + " : "+") : (spaced ? ", " : ",")))
            return false;
        if (!put_object(out, &e->object) || !put(out, flags & XN_FLAG_SPC_EQ ? " = " : "=") ||
            !put_value(out, &e->value, true))
            return false;
        before = e;
    }
    return true;
}

/* Of the flags the separators, the order and the spaces count; escapes are always those of RFC 2253. */
int X509_NAME_print_ex(BIO *bio, const X509_NAME *name, int indent, unsigned long flags)
{
    struct text text = { 0 };
    if (flags == XN_FLAG_COMPAT)
        flags = XN_FLAG_ONELINE & ~(unsigned long)XN_FLAG_SPC_EQ;
    bool ok = print_name(&text, name, flags);
    int rv = ok ? BIO_printf(bio, "%*s%s", indent, "", text.data ? text.data : "") : -1;
    milgi__ssl_text_free(&text);
    return rv;
}

int X509_NAME_print_ex_fp(FILE *file, const X509_NAME *name, int indent, unsigned long flags)
{
    BIO *bio = BIO_new_fp(file, BIO_NOCLOSE);
    int rv = bio ? X509_NAME_print_ex(bio, name, indent, flags) : -1;
    BIO_free(bio);
    return rv;
}

char *X509_NAME_oneline(const X509_NAME *name, char *buf, int n)
{
    struct text text = { 0 };
    bool ok = milgi__ssl_append(&text, "", 0);
    if (!name || (buf && n <= 0))
        ok = false;
    for (size_t i = 0; ok && i < name->n; i++)
        ok = put(&text, "/") && put_object(&text, &name->entries[i].object) && put(&text, "=") &&
            put_value(&text, &name->entries[i].value, false);
    if (!ok) {
        milgi__ssl_text_free(&text);
        return NULL;
    }
    if (!buf)
        return text.data;
    snprintf(buf, (size_t)n, "%s", text.data);
    milgi__ssl_text_free(&text);
    return buf;
}

/* --- the subjectAltName ------------------------------------------------------------------------------------------ */

static GENERAL_NAME *general_name(uint8_t tag, struct der value)
{
    int type = tag & 0x1f;
    bool text = type == GEN_EMAIL || type == GEN_DNS || type == GEN_URI;
    GENERAL_NAME *name = calloc(1, sizeof *name);
    if (!name)
        return NULL;
    name->type = type;
    if (!text && type != GEN_IPADD)
        return name;
    name->d.ia5 = calloc(1, sizeof *name->d.ia5);
    if (!name->d.ia5 ||
        !milgi__ssl_string(name->d.ia5, text ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING, value.data, value.len)) {
        GENERAL_NAME_free(name);
        return NULL;
    }
    return name;
}

void GENERAL_NAME_free(GENERAL_NAME *name)
{
    if (name)
        ASN1_STRING_free(name->d.ia5);
    free(name);
}

void GENERAL_NAMES_free(GENERAL_NAMES *names)
{
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
}

static bool add_general_name(GENERAL_NAMES *to, uint8_t tag, struct der value)
{
    GENERAL_NAME *name = general_name(tag, value);
    if (!name)
        return false;
    if (sk_GENERAL_NAME_push(to, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

void *X509_get_ext_d2i(const X509 *x, int nid, int *critical, int *index)
{
    struct der value, names, one;
    int is_critical = -1;
    if (index || nid != NID_subject_alt_name || !milgi__ssl_extension(x, nid, &value, &is_critical)) {
        if (critical)
            *critical = -1;
        return NULL;
    }
    if (critical)
        *critical = is_critical;
    GENERAL_NAMES *found = sk_GENERAL_NAME_new_null();
    bool ok = found && milgi__ssl_der_take(&value, 0x30, &names);
    while (ok && names.len) {
        uint8_t tag;
        ok = milgi__ssl_der_next(&names, &tag, &one, NULL) && add_general_name(found, tag, one);
    }
    if (ok)
        return found;
    GENERAL_NAMES_free(found);
    return NULL;
}

ASN1_OCTET_STRING *a2i_IPADDRESS(const char *text)
{
    uint8_t ip[16];
    size_t len = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16
                                                                                            : 0;
    ASN1_OCTET_STRING *string = len ? calloc(1, sizeof *string) : NULL;
    if (string && !milgi__ssl_string(string, V_ASN1_OCTET_STRING, ip, len)) {
        free(string);
        return NULL;
    }
    return string;
}
