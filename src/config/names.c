/* SPDX-License-Identifier: Apache-2.0 */
/* The index of server names. */
#include "config/names.h"

#include <stdlib.h>

#define NAME_LEN_MAX 255

/* --- names ------------------------------------------------------------------------------------------------------ */

/* In lower case and without the dot of an absolute name; false: it has an empty label, or is no host name. */
static bool normal(const char *name, size_t len, char out[NAME_LEN_MAX + 1])
{
    if (len > 1 && name[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_LEN_MAX)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (c <= ' ' || c >= 0x7f || (c == '.' && (i == 0 || i + 1 == len || name[i - 1] == '.')))
            return false;
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[len] = '\0';
    return true;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct milgi__name *)a)->text, ((const struct milgi__name *)b)->text);
}

static void name_clear(struct milgi__name *name)
{
    milgi__free(name->text);
    milgi__free(name->fits);
    *name = (struct milgi__name){ .text = NULL };
}

void milgi__names_clear(struct milgi__names *names)
{
    for (size_t i = 0; i < names->n; i++)
        name_clear(&names->name[i]);
    milgi__free(names->name);
    name_clear(&names->any);
    *names = (struct milgi__names){ .n = 0 };
}

/* --- building --------------------------------------------------------------------------------------------------- */

struct building {
    struct milgi__names *names;
    struct milgi_credential *const *credentials;
    uint32_t at; /* the credential whose names come */
};

/* No ClientHello is answered differently with them. */
static bool alike(const struct milgi_credential *a, const struct milgi_credential *b)
{
    return a->type == b->type && a->leaf_signed_with == b->leaf_signed_with && a->schemes_n == b->schemes_n &&
        memcmp(a->schemes, b->schemes, a->schemes_n * sizeof a->schemes[0]) == 0 && a->wanted_n == b->wanted_n &&
        memcmp(a->wanted, b->wanted, a->wanted_n * sizeof a->wanted[0]) == 0 && a->must_match == b->must_match &&
        a->issuers_len == b->issuers_len && memcmp(a->issuers, b->issuers, a->issuers_len) == 0;
}

/* Adds a credential to those that fit, unless one like it is there already. */
static int add_fit(struct milgi__name *name, uint32_t at, struct milgi_credential *const *credentials)
{
    for (uint32_t i = 0; i < name->fits_n; i++) {
        if (alike(credentials[name->fits[i]], credentials[at]))
            return 0;
    }
    if ((name->fits_n & (name->fits_n - 1)) == 0) { /* full: room grows by doubling */
        uint32_t *grown = milgi__alloc_raw((name->fits_n ? 2 * name->fits_n : 1) * sizeof *grown);
        if (!grown)
            return MILGI_ENOMEM;
        if (name->fits_n)
            memcpy(grown, name->fits, name->fits_n * sizeof *grown);
        milgi__free(name->fits);
        name->fits = grown;
    }
    name->fits[name->fits_n++] = at;
    return 0;
}

static int grow(struct milgi__names *names)
{
    size_t cap = names->cap ? 2 * names->cap : 8;
    struct milgi__name *grown = milgi__alloc_raw(cap * sizeof *grown);

    if (!grown)
        return MILGI_ENOMEM;
    if (names->n)
        memcpy(grown, names->name, names->n * sizeof *grown);
    milgi__free(names->name);
    names->name = grown;
    names->cap = cap;
    return 0;
}

/* Names come in the order of credentials; those that are the same are joined when all are there. */
static int add_name(void *arg, enum milgi_name_kind kind, const uint8_t *name, size_t len)
{
    struct building *b = arg;
    char text[NAME_LEN_MAX + 1];
    bool wild = len > 2 && name[0] == '*' && name[1] == '.';
    size_t skip = wild ? 2 : 0;

    if (kind != MILGI_NAME_DNS || memchr(name + skip, '*', len - skip) ||
        !normal((const char *)name + skip, len - skip, text))
        return 0;
    if (b->names->n == b->names->cap && grow(b->names) != 0)
        return MILGI_ENOMEM;
    size_t text_len = strlen(text);
    char *copy = milgi__alloc_raw(text_len + wild + 1);
    if (!copy)
        return MILGI_ENOMEM;
    copy[0] = '.';
    memcpy(copy + wild, text, text_len + 1);
    struct milgi__name *made = &b->names->name[b->names->n++];
    *made = (struct milgi__name){ .text = copy };
    return add_fit(made, b->at, b->credentials);
}

static int by_text_and_order(const void *a, const void *b)
{
    const struct milgi__name *one = a, *other = b;
    int order = by_text(one, other);

    return order != 0 ? order : one->fits[0] < other->fits[0] ? -1
                                                              : one->fits[0] > other->fits[0];
}

/* Joins what stands behind each other with the same name. */
static int join(struct milgi__names *names, struct milgi_credential *const *credentials)
{
    size_t kept = 0;
    int error = 0;

    if (names->n == 0)
        return 0;
    qsort(names->name, names->n, sizeof *names->name, by_text_and_order);
    for (size_t i = 1; i < names->n; i++) {
        struct milgi__name *last = &names->name[kept], *next = &names->name[i];
        if (strcmp(last->text, next->text) != 0) {
            kept++;
            if (kept != i) {
                names->name[kept] = *next;
                *next = (struct milgi__name){ .text = NULL };
            }
            continue;
        }
        if (error == 0)
            error = add_fit(last, next->fits[0], credentials);
        name_clear(next);
    }
    names->n = kept + 1;
    return error;
}

int milgi__names_build(struct milgi__names *names, struct milgi_credential *const *credentials, size_t n)
{
    struct building b = { names, credentials, 0 };
    int error = 0;

    *names = (struct milgi__names){ .n = 0 };
    for (b.at = 0; error == 0 && b.at < n; b.at++) {
        const struct milgi_credential *c = credentials[b.at];
        struct milgi__cert_walk walk = { .p = c->chain, .left = c->chain_len };
        error = add_fit(&names->any, b.at, credentials);
        if (error == 0 && milgi__cert_walk_next(&walk) &&
            milgi__cert_names(walk.der, walk.der_len, add_name, &b) == MILGI_ENOMEM)
            error = MILGI_ENOMEM;
    }
    if (error == 0)
        error = join(names, credentials);
    if (error != 0)
        milgi__names_clear(names);
    return error;
}

/* --- finding ---------------------------------------------------------------------------------------------------- */

static const struct milgi__name *find(const struct milgi__names *names, char *text)
{
    const struct milgi__name key = { .text = text };

    return names->n ? bsearch(&key, names->name, names->n, sizeof key, by_text) : NULL;
}

struct milgi__fits milgi__names_find(const struct milgi__names *names, const char *name)
{
    struct milgi__fits fits = { .exact = NULL };
    char text[NAME_LEN_MAX + 1];

    if (!normal(name, strlen(name), text))
        return fits;
    const struct milgi__name *exact = find(names, text);
    char *dot = strchr(text, '.');
    const struct milgi__name *wild = dot ? find(names, dot) : NULL;
    if (exact) {
        fits.exact = exact->fits;
        fits.exact_end = exact->fits + exact->fits_n;
    }
    if (wild) {
        fits.wild = wild->fits;
        fits.wild_end = wild->fits + wild->fits_n;
    }
    return fits;
}

struct milgi__fits milgi__names_any(const struct milgi__names *names)
{
    return (struct milgi__fits){ .exact = names->any.fits, .exact_end = names->any.fits + names->any.fits_n };
}

bool milgi__fits_next(struct milgi__fits *fits, size_t *i)
{
    bool exact = fits->exact != fits->exact_end, wild = fits->wild != fits->wild_end;

    if (!exact && !wild)
        return false;
    if (exact && (!wild || *fits->exact <= *fits->wild)) {
        if (wild && *fits->exact == *fits->wild) /* a leaf with both */
            fits->wild++;
        *i = *fits->exact++;
        return true;
    }
    *i = *fits->wild++;
    return true;
}
