/* SPDX-License-Identifier: Apache-2.0 */
/* The fake backend keeps the promises of crypto.h that other tests build on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <milgi/op.h>

#include "cx.h"
#include "fake_identity.h"
#include "op/algorithm.h"

static void hash_changes_with_every_bit_and_length(void **state)
{
    (void)state;
    uint8_t data[40] = { 0 }, want[48], got[48];
    for (int hash = MILGI__SHA256; hash <= MILGI__SHA384; hash++) {
        milgi__hash(cx, (enum milgi__hash)hash, data, sizeof data, want);
        for (size_t i = 0; i < sizeof data * 8; i++) {
            data[i / 8] = (uint8_t)(1u << i % 8);
            milgi__hash(cx, (enum milgi__hash)hash, data, sizeof data, got);
            data[i / 8] = 0;
            for (size_t at = 0; at + 8 <= milgi__hash_len((enum milgi__hash)hash); at += 8)
                assert_memory_not_equal(got + at, want + at, 8);
        }
        for (size_t len = 0; len < sizeof data; len++) {
            milgi__hash(cx, (enum milgi__hash)hash, data, len, got);
            assert_memory_not_equal(got, want, 8);
        }
    }
}

static void digest_does_not_mind_how_its_input_is_cut(void **state)
{
    (void)state;
    uint8_t data[100], want[48], got[48];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    milgi__hash(cx, MILGI__SHA384, data, sizeof data, want);
    for (size_t cut = 0; cut <= sizeof data; cut++) {
        struct milgi__digest *digest = milgi__digest_new(cx, MILGI__SHA384);
        milgi__digest_update(digest, data, cut);
        struct milgi__digest *clone = milgi__digest_clone(cx, digest);
        milgi__digest_peek(cx, digest, got);
        milgi__digest_update(digest, data + cut, sizeof data - cut);
        milgi__digest_update(clone, data + cut, sizeof data - cut);
        milgi__digest_peek(cx, digest, got);
        assert_memory_equal(got, want, 48);
        milgi__digest_peek(cx, clone, got);
        assert_memory_equal(got, want, 48);
        milgi__digest_free(digest);
        milgi__digest_free(clone);
    }
}

static void expansion_is_a_prefix_of_a_longer_one(void **state)
{
    (void)state;
    uint8_t prk[32] = { 1 }, small[50], large[200], other[50];
    assert_int_equal(milgi__hkdf_expand(cx, MILGI__SHA256, prk, 32, (const uint8_t *)"i", 1, small, 50), 0);
    assert_int_equal(milgi__hkdf_expand(cx, MILGI__SHA256, prk, 32, (const uint8_t *)"i", 1, large, 200), 0);
    assert_memory_equal(small, large, 50);
    assert_int_equal(milgi__hkdf_expand(cx, MILGI__SHA256, prk, 32, (const uint8_t *)"j", 1, other, 50), 0);
    assert_memory_not_equal(small, other, 8);
    prk[31] = 1;
    assert_int_equal(milgi__hkdf_expand(cx, MILGI__SHA256, prk, 32, (const uint8_t *)"i", 1, other, 50), 0);
    assert_memory_not_equal(small, other, 8);
}

/* --- AEAD ------------------------------------------------------------------------------------------------------- */

static const uint8_t raw[32] = { 1, 2, 3 };
static const struct milgi__aead_key aead = { 1, MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32, raw };
static const uint8_t nonce[12] = { 9 }, aad[5] = { 23, 3, 3, 0, 99 };

static void sealed_record_opens_however_it_is_cut(void **state)
{
    (void)state;
    uint8_t plain[70], sealed[70 + 4 + 16], opened[74];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)i;
    for (size_t cut = 0; cut <= sizeof plain; cut++) {
        struct milgi__piece src[2] = { { plain, cut }, { plain + cut, sizeof plain - cut } };
        assert_int_equal(milgi__aead_seal(cx, &aead, nonce, aad, sizeof aad, src, 2, 23, 3, sealed), 0);
        assert_memory_not_equal(sealed, plain, 8);
        struct milgi__piece cipher[2] = { { sealed, 74 - cut }, { sealed + 74 - cut, cut } };
        assert_int_equal(milgi__aead_open(cx, &aead, nonce, aad, sizeof aad, cipher, 2, sealed + 74, opened), 0);
        assert_memory_equal(opened, plain, sizeof plain);
        assert_memory_equal(opened + 70, "\x17\0\0\0", 4);
        assert_int_equal(milgi__aead_open(cx, &aead, nonce, aad, sizeof aad, cipher, 2, sealed + 74, NULL), 0);
        assert_memory_equal(sealed, plain, sizeof plain);
    }
}

static void sealing_in_place_gives_the_same(void **state)
{
    (void)state;
    uint8_t plain[33] = "some text", apart[33 + 1 + 16], same[33 + 1 + 16];
    struct milgi__piece src = { plain, sizeof plain };
    assert_int_equal(milgi__aead_seal(cx, &aead, nonce, aad, sizeof aad, &src, 1, 22, 0, apart), 0);
    memcpy(same, plain, sizeof plain);
    src.data = same;
    assert_int_equal(milgi__aead_seal(cx, &aead, nonce, aad, sizeof aad, &src, 1, 22, 0, same), 0);
    assert_memory_equal(apart, same, sizeof same);
}

static int open_changed(uint8_t *sealed, size_t len, uint8_t *changed, uint8_t *out)
{
    struct milgi__piece cipher = { sealed, len };
    *changed ^= 0x10;
    int e = milgi__aead_open(cx, &aead, nonce, aad, sizeof aad, &cipher, 1, sealed + len, out);
    *changed ^= 0x10;
    return e;
}

static void one_changed_bit_is_found_and_the_destination_wiped(void **state)
{
    (void)state;
    uint8_t plain[37], sealed[37 + 16], opened[37], zero[37] = { 0 };
    memset(plain, 0x33, sizeof plain);
    struct milgi__piece src = { plain, sizeof plain }, cipher = { sealed, sizeof plain };
    assert_int_equal(milgi__aead_seal(cx, &aead, nonce, aad, sizeof aad, &src, 1, 0, 0, sealed), 0);
    for (size_t i = 0; i < sizeof sealed; i++) {
        memset(opened, 1, sizeof opened);
        assert_int_equal(open_changed(sealed, sizeof plain, &sealed[i], opened), MILGI__BAD);
        assert_memory_equal(opened, zero, sizeof zero);
    }
    uint8_t other_nonce[12] = { 8 }, other_aad[5] = { 23, 3, 3, 0, 98 };
    assert_int_equal(
        milgi__aead_open(cx, &aead, other_nonce, aad, 5, &cipher, 1, sealed + 37, opened), MILGI__BAD);
    assert_int_equal(
        milgi__aead_open(cx, &aead, nonce, other_aad, 5, &cipher, 1, sealed + 37, opened), MILGI__BAD);
    assert_int_equal(milgi__aead_open(cx, &aead, nonce, aad, 5, &cipher, 1, sealed + 37, opened), 0);
    assert_memory_equal(opened, plain, sizeof plain);
    sealed[0] ^= 1;
    assert_int_equal(milgi__aead_open(cx, &aead, nonce, aad, 5, &cipher, 1, sealed + 37, NULL), MILGI__BAD);
    assert_memory_equal(sealed, zero, sizeof zero);
}

static void key_that_is_none_of_its_suite_is_broken(void **state)
{
    (void)state;
    struct milgi__aead_key wrong = { 1, MILGI_SUITE_AES_128_GCM_SHA256, 32, raw };
    uint8_t out[16];
    assert_int_equal(milgi__aead_seal(cx, &wrong, nonce, aad, 5, NULL, 0, 0, 0, out), MILGI__BROKEN);
    wrong = (struct milgi__aead_key){ 1, 0x1304, 16, raw };
    assert_int_equal(milgi__aead_seal(cx, &wrong, nonce, aad, 5, NULL, 0, 0, 0, out), MILGI__BROKEN);
}

/* --- key exchange ----------------------------------------------------------------------------------------------- */

static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
    MILGI_GROUP_SECP521R1 };

struct pair {
    uint8_t secret[MILGI_KEX_SECRET_MAX], pub[MILGI_KEX_PUBLIC_MAX];
    size_t secret_len, pub_len;
};

static struct pair make_pair(uint16_t group, uint8_t seed_byte)
{
    struct pair pair = { .secret_len = MILGI_KEX_SECRET_MAX, .pub_len = MILGI_KEX_PUBLIC_MAX };
    uint8_t seed[MILGI_KEX_SEED_MAX];
    memset(seed, seed_byte, sizeof seed);
    assert_int_equal(milgi__kex_keygen(cx, group, seed, milgi__kex_seed_len(group), pair.secret, &pair.secret_len,
                         pair.pub, &pair.pub_len),
        0);
    assert_int_equal(pair.pub_len, milgi__kex_public_len(group));
    return pair;
}

static int derive(uint16_t group, const struct pair *own, const struct pair *peer, uint8_t *shared, size_t *len)
{
    *len = MILGI_KEX_SECRET_MAX;
    return milgi__kex_derive(cx, group, own->secret, own->secret_len, peer->pub, peer->pub_len, shared, len);
}

static void both_sides_derive_the_same_secret(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        struct pair a = make_pair(groups[i], 1), b = make_pair(groups[i], 2), c = make_pair(groups[i], 3);
        uint8_t ab[MILGI_KEX_SECRET_MAX], ba[MILGI_KEX_SECRET_MAX], ac[MILGI_KEX_SECRET_MAX];
        size_t ab_len, ba_len, ac_len;
        assert_int_equal(derive(groups[i], &a, &b, ab, &ab_len), 0);
        assert_int_equal(derive(groups[i], &b, &a, ba, &ba_len), 0);
        assert_int_equal(derive(groups[i], &a, &c, ac, &ac_len), 0);
        assert_int_equal(ab_len, milgi__group(groups[i])->shared_len);
        assert_int_equal(ba_len, ab_len);
        assert_memory_equal(ab, ba, ab_len);
        assert_memory_not_equal(ab, ac, 8);
    }
}

static void bad_shares_are_rejected(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        struct pair a = make_pair(groups[i], 1), b = make_pair(groups[i], 2), bad = b;
        uint8_t shared[MILGI_KEX_SECRET_MAX];
        size_t len;
        bad.pub_len--;
        assert_int_equal(derive(groups[i], &a, &bad, shared, &len), MILGI__BAD);
        memset(bad.pub, 0, sizeof bad.pub);
        bad.pub_len = b.pub_len;
        assert_int_equal(derive(groups[i], &a, &bad, shared, &len), MILGI__BAD);
        for (size_t at = 0; at < b.pub_len; at++) {
            uint8_t right[MILGI_KEX_SECRET_MAX];
            size_t right_len;
            bad = b;
            bad.pub[at] ^= 4;
            int e = derive(groups[i], &a, &bad, shared, &len);
            assert_int_equal(e, groups[i] == MILGI_GROUP_X25519 ? 0 : MILGI__BAD);
            assert_int_equal(derive(groups[i], &a, &b, right, &right_len), 0);
            if (e == 0)
                assert_memory_not_equal(shared, right, len);
        }
    }
    assert_int_equal(milgi__kex_seed_len(0x1234), 0);
}

/* --- identities ------------------------------------------------------------------------------------------------- */

static const struct {
    enum milgi__key_type type;
    uint16_t scheme, wrong;
} signers[] = {
    { MILGI__KEY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA384 },
    { MILGI__KEY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256 },
    { MILGI__KEY_P256, MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384 },
    { MILGI__KEY_P384, MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI_SIG_ECDSA_SECP256R1_SHA256 },
    { MILGI__KEY_P521, MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519 },
    { MILGI__KEY_ED25519, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256 },
};

struct loaded {
    uint8_t *pkcs8, *spki;
    size_t pkcs8_len, spki_len;
    enum milgi__key_type type;
    unsigned bits;
};

static int load(const char *pem, struct loaded *l)
{
    *l = (struct loaded){ 0 };
    struct milgi__private_key key;
    struct milgi__pem_fault fault;
    int rv = milgi__pem_private_key(pem, strlen(pem), NULL, 0, &key, &fault);
    *l = (struct loaded){ key.pkcs8, key.spki, key.pkcs8_len, key.spki_len, key.type, key.bits };
    return rv;
}

static void unload(struct loaded *l)
{
    milgi__free_wiped(l->pkcs8, l->pkcs8_len);
    milgi__free(l->spki);
}

static void signature_holds_for_its_key_scheme_and_input_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(signers); i++) {
        struct fake_identity id;
        struct loaded l, other;
        uint8_t sig[MILGI_SIGNATURE_MAX], input[50] = "input";
        size_t len = sizeof sig;
        fake_identity(&(struct fake_options){ .type = signers[i].type }, &id);
        assert_int_equal(load(id.key_pem, &l), 0);
        fake_identity(&(struct fake_options){ .type = signers[i].type, .seed = 5 }, &id);
        assert_int_equal(load(id.key_pem, &other), 0);
        assert_int_equal(l.type, signers[i].type);
        struct milgi__pkey *key = milgi__pkey_new(cx, l.pkcs8, l.pkcs8_len);
        assert_int_equal(milgi__pkey_sign(cx, key, signers[i].wrong, input, 50, sig, &len), MILGI__BROKEN);
        uint16_t scheme = signers[i].scheme;
        assert_int_equal(milgi__pkey_sign(cx, key, scheme, input, 50, sig, &len), 0);
        assert_int_equal(milgi__verify(cx, l.spki, l.spki_len, scheme, input, 50, sig, len), 0);
        assert_int_equal(milgi__verify(cx, l.spki, l.spki_len, signers[i].wrong, input, 50, sig, len), MILGI__BAD);
        assert_int_equal(milgi__verify(cx, other.spki, other.spki_len, scheme, input, 50, sig, len), MILGI__BAD);
        assert_int_equal(milgi__verify(cx, l.spki, l.spki_len, scheme, input, 49, sig, len), MILGI__BAD);
        assert_int_equal(milgi__verify(cx, l.spki, l.spki_len, scheme, input, 50, sig, len - 1), MILGI__BAD);
        sig[len - 1] ^= 1;
        assert_int_equal(milgi__verify(cx, l.spki, l.spki_len, scheme, input, 50, sig, len), MILGI__BAD);
        milgi__pkey_free(key);
        unload(&l);
        unload(&other);
    }
}

static void weak_large_and_malformed_keys_are_refused(void **state)
{
    (void)state;
    struct fake_identity id;
    struct loaded l;
    fake_identity(&(struct fake_options){ .type = MILGI__KEY_RSA, .bits = 1024 }, &id);
    assert_int_equal(load(id.key_pem, &l), MILGI_EWEAK);
    fake_identity(&(struct fake_options){ .type = MILGI__KEY_RSA, .bits = 8192 }, &id);
    assert_int_equal(load(id.key_pem, &l), MILGI_EUNSUPPORTED);
    fake_identity(NULL, &id);
    assert_int_equal(load(id.chain_pem, &l), MILGI_EPARSE);
    assert_int_equal(load("", &l), MILGI_EPARSE);
    id.key_pem[60] = 'x';
    assert_int_equal(load(id.key_pem, &l), MILGI_EPARSE);
}

struct list {
    uint8_t bytes[4096];
    size_t len;
    unsigned n;
};

static int append(void *arg, const uint8_t *der, size_t len)
{
    struct list *list = arg;
    list->bytes[list->len] = 0;
    milgi__put16(list->bytes + list->len + 1, (unsigned)len);
    memcpy(list->bytes + list->len + 3, der, len);
    list->len += 3 + len;
    list->n++;
    return 0;
}

static struct list list_of(const char *pem)
{
    struct list list = { .len = 0 };
    struct milgi__pem_fault fault;
    assert_int_equal(milgi__pem_certificates(pem, strlen(pem), append, &list, &fault), 0);
    return list;
}

struct check {
    const char *name; /* NULL: any */
    int64_t now_s;
    int purpose;
    int32_t verdict;
    uint16_t alert;
    uint32_t path_n; /* 0: two, leaf and anchor */
};

static void verify(const struct fake_options *options, const char *root, const struct check *check)
{
    struct fake_identity id;
    fake_identity(options, &id);
    struct list chain = list_of(id.chain_pem), anchors = list_of(root ? root : id.root_pem);
    struct milgi__store *store = milgi__store_new(anchors.bytes, anchors.len);
    struct milgi__chain_query q = { .chain = chain.bytes,
        .chain_len = chain.len,
        .now_s = check->now_s ? check->now_s : FAKE_NOW_S,
        .purpose = check->purpose ? check->purpose : MILGI_PURPOSE_SERVER,
        .name = (const uint8_t *)check->name,
        .name_len = check->name ? strlen(check->name) : 0 };
    struct milgi__chain_answer answer;
    assert_int_equal(milgi__chain_verify(cx, store, &q, &answer), check->verdict ? MILGI__BAD : 0);
    assert_int_equal(answer.verdict, check->verdict);
    assert_int_equal(answer.alert, check->verdict ? check->alert : MILGI_ALERT_NONE);
    assert_string_not_equal(milgi__verdict_text(answer.verdict), "unknown verdict");
    uint32_t n = check->verdict ? 0 : check->path_n ? check->path_n
                                                    : 2;
    assert_int_equal(answer.path_n, n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(answer.path[i], i < n - 1 ? i : MILGI_PATH_ANCHOR);
    milgi__store_free(store);
}

static void good_chains_are_accepted(void **state)
{
    (void)state;
    verify(NULL, NULL, &(struct check){ .name = "server.test" });
    verify(NULL, NULL, &(struct check){ .name = "SERVER.test", .purpose = MILGI_PURPOSE_CLIENT });
    verify(&(struct fake_options){ .intermediates = 3 }, NULL,
        &(struct check){ .name = "server.test", .path_n = 5 });
    verify(&(struct fake_options){ .names = "a.test,*.b.test" }, NULL, &(struct check){ .name = "x.b.test" });
    verify(&(struct fake_options){ .not_before_s = 100, .not_after_s = 200 }, NULL, &(struct check){ .now_s = 200 });
}

static void bad_chains_get_their_verdict_and_alert(void **state)
{
    (void)state;
    struct fake_identity other;
    fake_identity(&(struct fake_options){ .root = 1 }, &other);
    verify(NULL, other.root_pem, &(struct check){ .verdict = 20, .alert = MILGI_ALERT_UNKNOWN_CA });
    verify(NULL, NULL,
        &(struct check){ .name = "other.test", .verdict = 62, .alert = MILGI_ALERT_BAD_CERTIFICATE });
    struct fake_options options = { .names = "*.b.test" };
    verify(&options, NULL,
        &(struct check){ .name = "x.y.b.test", .verdict = 62, .alert = MILGI_ALERT_BAD_CERTIFICATE });
    verify(&options, NULL, &(struct check){ .name = "b.test", .verdict = 62, .alert = MILGI_ALERT_BAD_CERTIFICATE });
    options = (struct fake_options){ .not_before_s = 100, .not_after_s = 200 };
    verify(&options, NULL,
        &(struct check){ .now_s = 201, .verdict = 10, .alert = MILGI_ALERT_CERTIFICATE_EXPIRED });
    verify(&options, NULL, &(struct check){ .now_s = 99, .verdict = 9, .alert = MILGI_ALERT_BAD_CERTIFICATE });
    options = (struct fake_options){ .flags = MILGI__FAKE_MAY_SIGN | MILGI__FAKE_CLIENT };
    verify(&options, NULL, &(struct check){ .verdict = 26, .alert = MILGI_ALERT_UNSUPPORTED_CERTIFICATE });
    options = (struct fake_options){ .type = MILGI__KEY_RSA, .bits = 1024 };
    verify(&options, NULL, &(struct check){ .verdict = 66, .alert = MILGI_ALERT_BAD_CERTIFICATE });
}

static void every_changed_byte_of_a_chain_is_found(void **state)
{
    (void)state;
    struct fake_identity id;
    fake_identity(&(struct fake_options){ .intermediates = 1 }, &id);
    struct list chain = list_of(id.chain_pem), anchors = list_of(id.root_pem);
    struct milgi__store *store = milgi__store_new(anchors.bytes, anchors.len);
    struct milgi__chain_query q = { .chain = chain.bytes,
        .chain_len = chain.len,
        .now_s = FAKE_NOW_S,
        .purpose = MILGI_PURPOSE_SERVER,
        .name = (const uint8_t *)"server.test",
        .name_len = 11 };
    struct milgi__chain_answer answer;
    for (size_t i = 0; i < chain.len; i++) {
        chain.bytes[i] ^= 1;
        assert_int_equal(milgi__chain_verify(cx, store, &q, &answer), MILGI__BAD);
        chain.bytes[i] ^= 1;
    }
    assert_int_equal(milgi__chain_verify(cx, store, &q, &answer), 0);
    for (size_t len = 0; len < chain.len; len++) {
        q.chain_len = len;
        assert_int_equal(milgi__chain_verify(cx, store, &q, &answer), MILGI__BAD);
    }
    milgi__store_free(store);
}

static void addresses_are_matched_as_bytes(void **state)
{
    (void)state;
    struct fake_identity id;
    fake_identity(&(struct fake_options){ .names = "a.test,ip:7f000001" }, &id);
    struct list chain = list_of(id.chain_pem), anchors = list_of(id.root_pem);
    struct milgi__store *store = milgi__store_new(anchors.bytes, anchors.len);
    uint8_t address[4] = { 127, 0, 0, 1 };
    struct milgi__chain_query q = { .chain = chain.bytes,
        .chain_len = chain.len,
        .now_s = FAKE_NOW_S,
        .purpose = MILGI_PURPOSE_SERVER,
        .name = address,
        .name_len = 4,
        .name_is_ip = true };
    struct milgi__chain_answer answer;
    assert_int_equal(milgi__chain_verify(cx, store, &q, &answer), 0);
    address[3] = 2;
    assert_int_equal(milgi__chain_verify(cx, store, &q, &answer), MILGI__BAD);
    assert_int_equal(answer.verdict, 64);
    milgi__store_free(store);
}

static void certificate_tells_what_it_is(void **state)
{
    (void)state;
    struct fake_identity id;
    struct milgi__cert_info info;
    fake_identity(&(struct fake_options){ .type = MILGI__KEY_P384, .names = "a.test,b.test", .intermediates = 2 }, &id);
    struct list chain = list_of(id.chain_pem);
    struct loaded l;
    assert_int_equal(chain.n, 3);
    size_t len = milgi__get16(chain.bytes + 1);
    assert_int_equal(milgi__cert_info(cx, chain.bytes + 3, len, &info), 0);
    assert_int_equal(load(id.key_pem, &l), 0);
    assert_int_equal(info.spki_len, l.spki_len);
    assert_memory_equal(info.spki, l.spki, l.spki_len);
    assert_int_equal(info.type, MILGI__KEY_P384);
    assert_int_equal(info.bits, 384);
    assert_true(info.may_sign);
    assert_int_equal(info.signed_with, MILGI_SIG_ECDSA_SECP256R1_SHA256);
    char subject[256];
    assert_int_equal(milgi__cert_subject(chain.bytes + 3, len, subject, sizeof subject), 0);
    assert_string_equal(subject, "CN=a.test");
    assert_int_equal(milgi__cert_matches_name(chain.bytes + 3, len, "b.test"), 1);
    assert_int_equal(milgi__cert_matches_name(chain.bytes + 3, len, "c.test"), 0);
    assert_int_equal(milgi__cert_info(cx, chain.bytes + 3, 50, &info), MILGI__BAD);
    unload(&l);
}

static void system_anchors_are_one_root(void **state)
{
    (void)state;
    uint8_t *anchors;
    size_t len;
    assert_int_equal(milgi__system_anchors(&anchors, &len), 0);
    struct milgi__store *store = milgi__store_new(anchors, len);
    assert_non_null(store);
    assert_null(milgi__store_new(anchors, len - 1));
    milgi__store_free(store);
    milgi__free(anchors);
}

static void random_bytes_differ_from_call_to_call(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    assert_int_equal(milgi__crypto_random(NULL, a, sizeof a), 0);
    assert_int_equal(milgi__crypto_random(NULL, b, sizeof b), 0);
    assert_memory_not_equal(a, b, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_changes_with_every_bit_and_length),
        cmocka_unit_test(digest_does_not_mind_how_its_input_is_cut),
        cmocka_unit_test(expansion_is_a_prefix_of_a_longer_one),
        cmocka_unit_test(sealed_record_opens_however_it_is_cut),
        cmocka_unit_test(sealing_in_place_gives_the_same),
        cmocka_unit_test(one_changed_bit_is_found_and_the_destination_wiped),
        cmocka_unit_test(key_that_is_none_of_its_suite_is_broken),
        cmocka_unit_test(both_sides_derive_the_same_secret),
        cmocka_unit_test(bad_shares_are_rejected),
        cmocka_unit_test(signature_holds_for_its_key_scheme_and_input_only),
        cmocka_unit_test(weak_large_and_malformed_keys_are_refused),
        cmocka_unit_test(good_chains_are_accepted),
        cmocka_unit_test(bad_chains_get_their_verdict_and_alert),
        cmocka_unit_test(every_changed_byte_of_a_chain_is_found),
        cmocka_unit_test(addresses_are_matched_as_bytes),
        cmocka_unit_test(certificate_tells_what_it_is),
        cmocka_unit_test(system_anchors_are_one_root),
        cmocka_unit_test(random_bytes_differ_from_call_to_call),
    };
    return cmocka_run_group_tests(tests, cx_open, cx_close);
}
