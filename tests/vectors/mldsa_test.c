/* SPDX-License-Identifier: Apache-2.0 */
/* ML-DSA on Wycheproof's vectors: signatures through VERIFY, and private keys in the forms of RFC 9881 6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "wycheproof.h"

static const struct set {
    uint16_t scheme, size;
    uint8_t arc;
    uint16_t expanded; /* the length of a private key */
} sets[] = {
    { MILGI_SIG_MLDSA44, 44, 17, 2560 },
    { MILGI_SIG_MLDSA65, 65, 18, 4032 },
    { MILGI_SIG_MLDSA87, 87, 19, 4896 },
};

static void need_mldsa(void)
{
    if (!milgi__mldsa_available()) {
        print_message("SKIPPED: this libcrypto has no ML-DSA\n");
        skip();
    }
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

static enum ran verify(const struct vector *v)
{
    const struct set *set = v->arg;
    struct bytes key = hex_of(v->group, "publicKeyDer", 0), msg = hex_of(v->test, "msg", 1);
    struct bytes sig = hex_of(v->test, "sig", 2);
    uint8_t blob[16384];
    /* TLS has no context (draft-ietf-tls-mldsa): what was made with one is another signature. */
    bool context = json_object_get(v->test, "ctx") && hex_of(v->test, "ctx", 3).len != 0;
    bool good = v->valid && !context;

    if (msg.len > MILGI_SIGN_INPUT_MAX) {
        int rv = milgi__verify(v->rig->cx, key.data, key.len, set->scheme, msg.data, msg.len, sig.data, sig.len);
        vector_assert(v, (rv == 0) == good);
        return RAN;
    }
    vector_assert(v, key.len + sig.len <= sizeof blob);
    memcpy(blob, key.data, key.len);
    memcpy(blob + key.len, sig.data, sig.len);
    struct milgi_op op = { .type = MILGI_OP_VERIFY, .alg = set->scheme };
    memcpy(op.u.sign.input, msg.data, msg.len);
    op.u.sign.input_len = (uint16_t)msg.len;
    op.u.sign.spki_len = (uint32_t)key.len;
    op.u.sign.sig_len = (uint16_t)sig.len;
    op.u.sign.blob = (struct milgi_slice){ NULL, blob, (uint32_t)(key.len + sig.len) };
    rig_execute(v->rig, &op);
    vector_assert(v, op.status == (good ? MILGI_OP_OK : MILGI_OP_REJECTED));
    return RAN;
}

/* --- private keys ------------------------------------------------------------------------------------------------- */

struct form {
    uint8_t b[8192];
    size_t n;
};

/* |inside| becomes what it is wrapped in; lengths are of three bytes, or of one. */
static void wrap(struct form *f, uint8_t tag)
{
    size_t head = f->n < 128 ? 2 : 4;
    memmove(f->b + head, f->b, f->n);
    f->b[0] = tag;
    f->b[1] = head == 2 ? (uint8_t)f->n : 0x82;
    if (head == 4)
        milgi__put16(f->b + 2, (unsigned)f->n);
    f->n += head;
}

/* Around a private key: PKCS #8. */
static void wrap_pkcs8(struct form *f, uint8_t arc)
{
    const uint8_t front[] = { 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03,
        arc };
    wrap(f, 0x04);
    memmove(f->b + sizeof front, f->b, f->n);
    memcpy(f->b, front, sizeof front);
    f->n += sizeof front;
    wrap(f, 0x30);
}

/* What it signs the public key verifies. */
static bool signs(const struct vector *v, const uint8_t *pkcs8, size_t len)
{
    const struct set *set = v->arg;
    uint8_t sig[MILGI_SIGNATURE_LONG_MAX], msg[] = "message";
    size_t sig_len = sizeof sig;
    struct form spki = { .n = 0 };
    const uint8_t front[] = { 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, set->arc };
    struct milgi__crypto *cx = v->rig->cx;
    struct milgi__pkey *key = milgi__pkey_new(cx, pkcs8, len);
    if (!key)
        return false;
    struct bytes public = hex_of(v->group, "publicKey", 4);
    memcpy(spki.b + 1, public.data, public.len); /* no unused bits */
    spki.n = 1 + public.len;
    wrap(&spki, 0x03);
    memmove(spki.b + sizeof front, spki.b, spki.n);
    memcpy(spki.b, front, sizeof front);
    spki.n += sizeof front;
    wrap(&spki, 0x30);
    bool well = milgi__pkey_sign(cx, key, set->scheme, msg, sizeof msg, sig, &sig_len) == 0 &&
        milgi__verify(cx, spki.b, spki.n, set->scheme, msg, sizeof msg, sig, sig_len) == 0;
    milgi__pkey_free(key);
    return well;
}

static bool says(const struct vector *v, const char *flag)
{
    const json_t *flags = json_object_get(v->test, "flags"), *one;
    size_t i;

    json_array_foreach(flags, i, one)
    {
        if (strcmp(json_string_value(one), flag) == 0)
            return true;
    }
    return false;
}

static enum ran seed(const struct vector *v)
{
    const struct set *set = v->arg;
    struct bytes bytes = hex_of(v->group, "privateSeed", 0);
    struct form f = { .n = bytes.len };

    memcpy(f.b, bytes.data, bytes.len);
    wrap(&f, 0x80);
    wrap_pkcs8(&f, set->arc);
    bool bad = says(v, "IncorrectPrivateKeyLength");
    if (json_object_get(v->group, "privateKeyPkcs8")) {
        struct bytes whole = hex_of(v->group, "privateKeyPkcs8", 1);
        vector_assert(v, bad || (whole.len == f.n && memcmp(whole.data, f.b, f.n) == 0));
        vector_assert(v, signs(v, whole.data, whole.len) != bad);
    }
    vector_assert(v, signs(v, f.b, f.n) != bad);
    return RAN;
}

static enum ran expanded(const struct vector *v)
{
    const struct set *set = v->arg;
    struct bytes bytes = hex_of(v->group, "privateKey", 0);
    struct form f = { .n = bytes.len };

    vector_assert(v, bytes.len + 64 <= sizeof f.b);
    memcpy(f.b, bytes.data, bytes.len);
    wrap(&f, 0x04);
    wrap_pkcs8(&f, set->arc);
    bool bad = says(v, "IncorrectPrivateKeyLength") || says(v, "InvalidPrivateKey");
    vector_assert(v, signs(v, f.b, f.n) != bad);
    return RAN;
}

/* The first key of both files is the same one. */
static enum ran both(const struct vector *v)
{
    const struct set *set = v->arg;
    struct bytes bytes = hex_of(v->group, "privateKey", 0);
    static const size_t seed_len = 32;
    struct form f = { .n = bytes.len };

    if (v->id != 1)
        return FILTERED;
    memcpy(f.b, bytes.data, bytes.len);
    wrap(&f, 0x04);
    memmove(f.b + 2 + seed_len, f.b, f.n);
    f.b[0] = 0x04;
    f.b[1] = (uint8_t)seed_len;
    memset(f.b + 2, 0x2a, seed_len);
    f.n += 2 + seed_len;
    wrap(&f, 0x30);
    struct form wrong = f;
    wrap_pkcs8(&f, set->arc);
    vector_assert(v, signs(v, f.b, f.n));
    wrong.b[wrong.n - set->expanded - 8] ^= 1; /* in the seed */
    wrap_pkcs8(&wrong, set->arc);
    vector_assert(v, !signs(v, wrong.b, wrong.n));
    return RAN;
}

/* --- all ---------------------------------------------------------------------------------------------------------- */

static void run(struct rig *rig, const struct set *set, const char *what, unsigned filtered,
    enum ran (*each)(const struct vector *))
{
    char file[64];
    snprintf(file, sizeof file, "../mldsa/mldsa_%u_%s_test.json", set->size, what);
    vectors_run(rig, file, filtered, each, set);
}

static void signatures_verify_as_wycheproof_says(void **state)
{
    need_mldsa();
    for (size_t i = 0; i < MILGI__COUNT(sets); i++)
        run(*state, &sets[i], "verify", 0, verify);
}

static void private_keys_are_read_in_every_form(void **state)
{
    static const unsigned others[] = { 72, 77, 68 }; /* of which the seed is not known */
    need_mldsa();
    for (size_t i = 0; i < MILGI__COUNT(sets); i++) {
        run(*state, &sets[i], "sign_seed", 0, seed);
        run(*state, &sets[i], "sign_noseed", 0, expanded);
        run(*state, &sets[i], "sign_noseed", others[i], both);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_verify_as_wycheproof_says),
        cmocka_unit_test(private_keys_are_read_in_every_form),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
