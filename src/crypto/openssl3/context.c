/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a thread's state, randomness, and DER elements. */
#include <limits.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rand.h>

#include "crypto/openssl3/openssl3.h"

int milgi__fail(int result)
{
    ERR_clear_error();
    return result;
}

struct milgi__crypto *milgi__crypto_new(void)
{
    struct milgi__crypto *cx = milgi__alloc(sizeof(*cx));
    if (cx == NULL)
        return NULL;
    if (milgi__aead_setup(cx) != 0 || milgi__kex_setup(cx) != 0 || milgi__verify_setup(cx) != 0) {
        milgi__crypto_free(cx);
        ERR_clear_error();
        return NULL;
    }
    return cx;
}

void milgi__crypto_free(struct milgi__crypto *cx)
{
    if (cx == NULL)
        return;
    milgi__aead_teardown(cx);
    milgi__kex_teardown(cx);
    milgi__verify_teardown(cx);
    milgi__free_wiped(cx, sizeof(*cx));
}

void milgi__crypto_idle(struct milgi__crypto *cx)
{
    milgi__aead_wipe(cx);
    /* Its pool keeps intermediate values of scalar multiplications; it is made again when it is needed. */
    BN_CTX_free(cx->bn);
    cx->bn = NULL;
    milgi__wipe(cx->random, sizeof(cx->random));
    cx->random_left = 0;
}

static int generate(uint8_t *out, size_t len)
{
    while (len > 0) {
        int n = len > INT_MAX ? INT_MAX : (int)len;
        if (RAND_priv_bytes(out, n) != 1)
            return milgi__fail(MILGI_EINTERNAL);
        out += n;
        len -= (size_t)n;
    }
    return 0;
}

int milgi__crypto_random(void *store, uint8_t *out, size_t len)
{
    struct milgi__crypto *cx = store;

    if (cx == NULL || len > sizeof(cx->random) / 4)
        return generate(out, len);
    if (cx->random_left < len) {
        int result = generate(cx->random, sizeof(cx->random));
        if (result != 0)
            return result;
        cx->random_left = sizeof(cx->random);
    }
    uint8_t *from = cx->random + sizeof(cx->random) - cx->random_left;
    memcpy(out, from, len);
    milgi__wipe(from, len);
    cx->random_left -= len;
    return 0;
}

/* --- DER -------------------------------------------------------------------------------------------------------- */

static bool header(const struct milgi__der *der, const uint8_t **contents, long *len, int *tag)
{
    int number;
    int class;

    *contents = der->p;
    if (der->left <= 0)
        return false;
    int form = ASN1_get_object(contents, len, &number, &class, der->left);
    if (form & 0x80 || form & 1) { /* malformed; or of indefinite length, which is not DER */
        ERR_clear_error();
        return false;
    }
    bool constructed = (form & V_ASN1_CONSTRUCTED) != 0;
    if (class == V_ASN1_UNIVERSAL && constructed != (number == V_ASN1_SEQUENCE || number == V_ASN1_SET))
        return false;
    if (class == V_ASN1_UNIVERSAL)
        *tag = number;
    else if (class == V_ASN1_CONTEXT_SPECIFIC)
        *tag = number | MILGI__DER_CONTEXT;
    else
        return false;
    return true;
}

bool milgi__der_take(struct milgi__der *der, int tag, struct milgi__der *body)
{
    const uint8_t *contents;
    long len;
    int found;

    if (!header(der, &contents, &len, &found) || found != tag)
        return false;
    *body = (struct milgi__der){ contents, len };
    der->left -= (long)(contents - der->p) + len;
    der->p = contents + len;
    return true;
}

bool milgi__der_next_is(const struct milgi__der *der, int tag)
{
    const uint8_t *contents;
    long len;
    int found;

    return header(der, &contents, &len, &found) && found == tag;
}

bool milgi__der_skip(struct milgi__der *der)
{
    const uint8_t *contents;
    struct milgi__der unused;
    long len;
    int tag;

    return header(der, &contents, &len, &tag) && milgi__der_take(der, tag, &unused);
}

bool milgi__der_is_oid(const struct milgi__der *body, int nid)
{
    const ASN1_OBJECT *object = OBJ_nid2obj(nid);

    return object != NULL && OBJ_length(object) == (size_t)body->left &&
        memcmp(OBJ_get0_data(object), body->p, (size_t)body->left) == 0;
}

/* --- SubjectPublicKeyInfo --------------------------------------------------------------------------------------- */

static void parse_ec(struct milgi__der params, struct milgi__spki *spki)
{
    static const struct {
        int nid;
        enum milgi__key_type type;
        unsigned bits;
    } curves[] = {
        { NID_X9_62_prime256v1, MILGI__KEY_P256, 256 },
        { NID_secp384r1, MILGI__KEY_P384, 384 },
        { NID_secp521r1, MILGI__KEY_P521, 521 },
    };
    struct milgi__der oid;

    /* Curves are named or not accepted: explicit parameters let the sender choose the generator. */
    if (!milgi__der_take(&params, V_ASN1_OBJECT, &oid) || params.left != 0)
        return;
    for (size_t i = 0; i < MILGI__COUNT(curves); i++) {
        if (!milgi__der_is_oid(&oid, curves[i].nid))
            continue;
        spki->type = curves[i].type;
        spki->bits = curves[i].bits;
        return;
    }
}

/* The bits of a positive INTEGER without needless leading zeros; 0: it is not such. */
static unsigned integer_bits(struct milgi__der *integer)
{
    if (integer->left < 1 || integer->p[0] & 0x80)
        return 0;
    if (integer->p[0] == 0) {
        if (integer->left == 1 || !(integer->p[1] & 0x80))
            return 0;
        integer->p++;
        integer->left--;
    }
    unsigned bits = (unsigned)integer->left * 8;
    for (uint8_t top = integer->p[0]; !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

static int parse_rsa(enum milgi__key_type type, struct milgi__spki *spki)
{
    struct milgi__der key = milgi__der(spki->key, spki->key_len);
    struct milgi__der sequence;

    if (!milgi__der_take(&key, V_ASN1_SEQUENCE, &sequence) || key.left != 0)
        return MILGI__BAD;
    if (!milgi__der_take(&sequence, V_ASN1_INTEGER, &spki->modulus) ||
        !milgi__der_take(&sequence, V_ASN1_INTEGER, &spki->exponent) || sequence.left != 0)
        return MILGI__BAD;
    spki->bits = integer_bits(&spki->modulus);
    if (spki->bits == 0 || integer_bits(&spki->exponent) == 0)
        return MILGI__BAD;
    spki->type = type;
    return 0;
}

int milgi__spki_parse(const uint8_t *der, size_t len, struct milgi__spki *spki)
{
    struct milgi__der all = milgi__der(der, len);
    struct milgi__der info;
    struct milgi__der algorithm;
    struct milgi__der oid;
    struct milgi__der bits;

    *spki = (struct milgi__spki){ .type = MILGI__KEY_NONE };
    if (len > LONG_MAX || !milgi__der_take(&all, V_ASN1_SEQUENCE, &info) || all.left != 0)
        return MILGI__BAD;
    if (!milgi__der_take(&info, V_ASN1_SEQUENCE, &algorithm) || !milgi__der_take(&algorithm, V_ASN1_OBJECT, &oid))
        return MILGI__BAD;
    if (!milgi__der_take(&info, V_ASN1_BIT_STRING, &bits) || info.left != 0 || bits.left < 1 || bits.p[0] != 0)
        return MILGI__BAD;
    spki->key = bits.p + 1;
    spki->key_len = (size_t)bits.left - 1;

    if (milgi__der_is_oid(&oid, NID_X9_62_id_ecPublicKey)) {
        parse_ec(algorithm, spki);
        return 0;
    }
    if (milgi__der_is_oid(&oid, NID_rsaEncryption)) {
        /* RFC 3279 2.3.1: the parameters are NULL. Some leave them out, which means the same. */
        bool null = algorithm.left == 2 && algorithm.p[0] == V_ASN1_NULL && algorithm.p[1] == 0;
        return algorithm.left == 0 || null ? parse_rsa(MILGI__KEY_RSA, spki) : MILGI__BAD;
    }
    if (milgi__der_is_oid(&oid, NID_rsassaPss))
        return parse_rsa(MILGI__KEY_RSA_PSS, spki);
    /* RFC 8410 3: without parameters. */
    if (milgi__der_is_oid(&oid, NID_ED25519) && algorithm.left == 0 && spki->key_len == 32) {
        spki->type = MILGI__KEY_ED25519;
        spki->bits = 256;
    }
    return 0;
}
