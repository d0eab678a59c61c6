/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who of a store has issued a certificate, by name and key identifier (RFC 5280 4.2.1.1): for the chain that goes to
 * the peer, who judges it. Nothing is believed for it here.
 */
#include "shim.h"

#define PATH_MAX_N 10

struct pile {
    X509 **x;
    size_t n;
};

static void pile_free(struct pile *pile)
{
    for (size_t i = 0; i < pile->n; i++)
        X509_free(pile->x[i]);
    free(pile->x);
}

static X509 *read_block(const char *block, size_t block_len)
{
    uint8_t *der = NULL;
    size_t len = 0;
    X509 *x = NULL;
    if (milgi__ssl_pem_decode(block, block_len, &der, &len)) {
        const unsigned char *from = der;
        x = d2i_X509(NULL, &from, (long)len);
        free(der);
    }
    return x;
}

/* All certificates of |text|. False: no memory. */
static bool pile_up(struct pile *pile, const struct text *text)
{
    size_t at = 0, begin, end;
    while (milgi__ssl_pem_next(text, &at, "CERTIFICATE", &begin, &end)) {
        X509 **grown = realloc(pile->x, (pile->n + 1) * sizeof(X509 *));
        if (!grown)
            return false;
        pile->x = grown;
        X509 *x = read_block(text->data + begin, end - begin);
        if (x)
            pile->x[pile->n++] = x;
    }
    return true;
}

/* KeyIdentifier: an OCTET STRING, alone or as the first of a sequence. */
static bool key_id(const X509 *x, bool issuers, struct der *id)
{
    struct der value, all;
    int critical;
    int nid = issuers ? NID_authority_key_identifier : NID_subject_key_identifier;
    if (!milgi__ssl_extension(x, nid, &value, &critical))
        return false;
    return issuers ? milgi__ssl_der_take(&value, 0x30, &all) && milgi__ssl_der_take(&all, 0x80, id)
                   : milgi__ssl_der_take(&value, 0x04, id);
}

static bool has_issued(const X509 *issuer, const X509 *x)
{
    struct der wanted, has;
    if (X509_NAME_cmp(&issuer->subject, &x->issuer) != 0)
        return false;
    return !key_id(x, true, &wanted) || !key_id(issuer, false, &has) ||
        (wanted.len == has.len && memcmp(wanted.data, has.data, has.len) == 0);
}

bool milgi__ssl_add_issuers(struct text *chain, const struct text *store)
{
    struct pile leaf = { 0 }, all = { 0 };
    bool ok = pile_up(&leaf, chain) && leaf.n && pile_up(&all, store);
    const X509 *x = ok ? leaf.x[0] : NULL;

    for (int depth = 0; ok && x && depth < PATH_MAX_N; depth++) {
        const X509 *issuer = NULL;
        for (size_t i = 0; !issuer && i < all.n; i++)
            if (has_issued(all.x[i], x))
                issuer = all.x[i];
        x = issuer && X509_NAME_cmp(&issuer->subject, &issuer->issuer) != 0 ? issuer : NULL;
        if (x)
            ok = milgi__ssl_pem_write(chain, "CERTIFICATE", x->der, x->len);
    }
    pile_free(&leaf);
    pile_free(&all);
    return ok;
}
