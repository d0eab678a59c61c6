/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate chains: which are believed, which are not, and why. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <milgi/op.h>

#include "crypto/cert_list.h"
#include "identity.h"

static struct milgi__pem_fault fault;

#define DAY ((int64_t)24 * 3600)

/* root > middle > leaf. */
struct family {
    struct identity *root, *middle, *leaf;
};

static struct family family_new(const struct identity_options *leaf)
{
    struct identity_options options = *leaf;
    struct family f;

    f.root = identity_root(IDENTITY_P256, "root");
    f.middle = identity_new(&(struct identity_options){
        .key = IDENTITY_P256, .common_name = "middle", .is_ca = true, .issuer = f.root });
    options.issuer = f.middle;
    f.leaf = identity_new(&options);
    return f;
}

static void family_free(struct family *f)
{
    identity_free(f->leaf);
    identity_free(f->middle);
    identity_free(f->root);
}

static struct milgi__store *store_of(const struct identity *anchor)
{
    struct milgi__cert_list list = { .data = NULL };

    if (anchor)
        assert_int_equal(milgi__cert_list_add(&list, anchor->cert_der, anchor->cert_der_len), 0);
    struct milgi__store *store = milgi__store_new(list.data, list.len);
    assert_non_null(store);
    milgi__cert_list_clear(&list);
    return store;
}

struct outcome {
    int result;
    struct milgi__chain_answer a;
};

/* What to ask; zeros mean: now, a server, any name. */
struct ask {
    int64_t now_s;
    int purpose;
    const char *name;
    const uint8_t *ip;
    size_t ip_len;
};

static struct outcome verify_list(
    struct milgi__crypto *cx, const struct identity *anchor, const uint8_t *chain, size_t chain_len, struct ask ask)
{
    struct milgi__store *store = store_of(anchor);
    struct milgi__chain_query query = { .chain = chain, .chain_len = chain_len };
    struct outcome o = { 99, { 99, 99, 99, { 99 } } };

    query.now_s = ask.now_s != 0 ? ask.now_s : time(NULL);
    query.purpose = ask.purpose != 0 ? ask.purpose : MILGI_PURPOSE_SERVER;
    query.name_is_ip = ask.ip != NULL;
    query.name = ask.ip ? ask.ip : (const uint8_t *)ask.name;
    if (query.name)
        query.name_len = ask.ip ? ask.ip_len : strlen(ask.name);
    o.result = milgi__chain_verify(cx, store, &query, &o.a);
    milgi__store_free(store);
    return o;
}

static struct outcome verify_pem(
    struct milgi__crypto *cx, const struct identity *anchor, const char *pem, struct ask ask)
{
    struct milgi__cert_list list = { .data = NULL };

    assert_int_equal(milgi__cert_list_add_pem(&list, pem, strlen(pem), &fault), 0);
    struct outcome o = verify_list(cx, anchor, list.data, list.len, ask);
    milgi__cert_list_clear(&list);
    return o;
}

#define assert_outcome(o, r, v, told) \
    do { \
        struct outcome made = (o); \
        assert_int_equal(made.a.verdict, v); \
        assert_int_equal(made.a.alert, told); \
        assert_int_equal(made.result, r); \
        assert_int_equal(made.a.path_n > 0, (r) == 0); \
    } while (0)
#define assert_accepted(o) assert_outcome(o, 0, X509_V_OK, MILGI_ALERT_NONE)
#define assert_refused(o, v, a) assert_outcome(o, MILGI__BAD, v, a)

static void a_chain_to_an_anchor_is_accepted(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256, .names = "DNS:a.test" });

    assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .name = "a.test" }));
    assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .purpose = MILGI_PURPOSE_CLIENT }));
    family_free(&f);
}

static void keys_of_every_kind_are_accepted(void **state)
{
    for (unsigned i = 0; i < IDENTITY_KEYS; i++) {
        struct identity *root = identity_root((enum identity_key)i, "root");
        struct identity *leaf = identity_leaf(root, (enum identity_key)i, "DNS:a.test");
        assert_accepted(verify_pem(*state, root, leaf->chain_pem, (struct ask){ .name = "a.test" }));
        identity_free(leaf);
        identity_free(root);
    }
}

static void an_unknown_anchor_is_unknown_ca(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256 });
    struct identity *other = identity_root(IDENTITY_P256, "root"); /* the same name, another key */
    struct identity *alone = identity_root(IDENTITY_P256, "alone");
    struct ask any = { .name = NULL };

    assert_refused(verify_pem(*state, NULL, f.leaf->chain_pem, any), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        MILGI_ALERT_UNKNOWN_CA);
    assert_refused(verify_pem(*state, other, f.leaf->chain_pem, any), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        MILGI_ALERT_UNKNOWN_CA);
    assert_refused(verify_pem(*state, f.root, f.leaf->cert_pem, any), X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        MILGI_ALERT_UNKNOWN_CA); /* the one between is missing */
    assert_refused(verify_pem(*state, f.root, alone->cert_pem, any), X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        MILGI_ALERT_UNKNOWN_CA);
    identity_free(alone);
    identity_free(other);
    family_free(&f);
}

static void another_name_is_refused(void **state)
{
    static const uint8_t ip4[] = { 127, 0, 0, 1 };
    static const uint8_t other4[] = { 127, 0, 0, 2 };
    static const uint8_t ip6[16] = { [15] = 1 };
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256,
        .common_name = "cn.test",
        .names = "DNS:a.test,DNS:*.b.test,IP:127.0.0.1,IP:::1" });
    const char *good[] = { "a.test", "A.test", "x.b.test" };
    const char *bad[] = { "b.test", "x.y.b.test", "cn.test", "127.0.0.1", "test" };

    for (unsigned i = 0; i < MILGI__COUNT(good); i++)
        assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .name = good[i] }));
    for (unsigned i = 0; i < MILGI__COUNT(bad); i++) {
        assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .name = bad[i] }),
            X509_V_ERR_HOSTNAME_MISMATCH, MILGI_ALERT_BAD_CERTIFICATE);
    }
    assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .ip = ip4, .ip_len = 4 }));
    assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .ip = ip6, .ip_len = 16 }));
    assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .ip = other4, .ip_len = 4 }),
        X509_V_ERR_IP_ADDRESS_MISMATCH, MILGI_ALERT_BAD_CERTIFICATE);
    family_free(&f);
}

static void neither_common_names_nor_half_wildcards_count(void **state)
{
    const char *names[] = { NULL, "DNS:p*.d.test" };
    const char *wanted[] = { "cn.test", "p1.d.test" };

    for (unsigned i = 0; i < 2; i++) {
        struct family f = family_new(
            &(struct identity_options){ .key = IDENTITY_P256, .common_name = "cn.test", .names = names[i] });
        assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .name = wanted[i] }),
            X509_V_ERR_HOSTNAME_MISMATCH, MILGI_ALERT_BAD_CERTIFICATE);
        family_free(&f);
    }
}

static void time_is_the_one_given(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256,
        .not_before_s = time(NULL) - 2 * DAY,
        .not_after_s = time(NULL) + 2 * DAY });
    int64_t now = time(NULL);

    assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .now_s = now }));
    assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .now_s = now + 3 * DAY }),
        X509_V_ERR_CERT_HAS_EXPIRED, MILGI_ALERT_CERTIFICATE_EXPIRED);
    assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .now_s = now - 3 * DAY }),
        X509_V_ERR_CERT_NOT_YET_VALID, MILGI_ALERT_CERTIFICATE_EXPIRED);
    family_free(&f);
}

static void purposes_are_kept_apart(void **state)
{
    const enum identity_purpose purposes[] = { IDENTITY_FOR_SERVER, IDENTITY_FOR_CLIENT };

    for (unsigned i = 0; i < 2; i++) {
        struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256, .purpose = purposes[i] });
        int right = i == 0 ? MILGI_PURPOSE_SERVER : MILGI_PURPOSE_CLIENT;
        int wrong = i == 0 ? MILGI_PURPOSE_CLIENT : MILGI_PURPOSE_SERVER;
        assert_accepted(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .purpose = right }));
        assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .purpose = wrong }),
            X509_V_ERR_INVALID_PURPOSE, MILGI_ALERT_UNSUPPORTED_CERTIFICATE);
        family_free(&f);
    }
}

static void a_leaf_issues_nothing(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256, .common_name = "leaf" });
    struct identity *below = identity_leaf(f.leaf, IDENTITY_P256, "DNS:a.test");

    struct outcome o = verify_pem(*state, f.root, below->chain_pem, (struct ask){ .name = "a.test" });
    assert_int_equal(o.result, MILGI__BAD);
    assert_true(o.a.verdict == X509_V_ERR_INVALID_CA || o.a.verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
        o.a.verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE);
    assert_int_equal(o.a.alert, MILGI_ALERT_UNKNOWN_CA);
    identity_free(below);
    family_free(&f);
}

static void weak_keys_and_hashes_are_refused(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_RSA, .rsa_bits = 1024 });
    struct identity *root = identity_root(IDENTITY_P256, "sha1");
    struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:a.test");
    uint8_t *der = NULL;
    struct milgi__cert_list list = { .data = NULL };

    assert_refused(verify_pem(*state, f.root, f.leaf->chain_pem, (struct ask){ .name = NULL }),
        X509_V_ERR_EE_KEY_TOO_SMALL, MILGI_ALERT_BAD_CERTIFICATE);
    assert_true(X509_sign(leaf->certificate, root->private_key, EVP_sha1()) > 0);
    int len = i2d_X509(leaf->certificate, &der);
    assert_true(len > 0);
    assert_int_equal(milgi__cert_list_add(&list, der, (size_t)len), 0);
    assert_refused(verify_list(*state, root, list.data, list.len, (struct ask){ .name = NULL }),
        X509_V_ERR_CA_MD_TOO_WEAK, MILGI_ALERT_BAD_CERTIFICATE);
    OPENSSL_free(der);
    milgi__cert_list_clear(&list);
    identity_free(leaf);
    identity_free(root);
    family_free(&f);
}

static void a_damaged_chain_is_a_bad_certificate(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256 });
    struct milgi__cert_list list = { .data = NULL };
    struct ask any = { .name = NULL };

    assert_int_equal(milgi__cert_list_add_pem(&list, f.leaf->chain_pem, strlen(f.leaf->chain_pem), &fault), 0);
    size_t leaf_end = 3 + f.leaf->cert_der_len;
    list.data[leaf_end - 1] ^= 1; /* of the signature */
    assert_refused(verify_list(*state, f.root, list.data, list.len, any), X509_V_ERR_CERT_SIGNATURE_FAILURE,
        MILGI_ALERT_BAD_CERTIFICATE);
    list.data[leaf_end - 1] ^= 1;
    assert_accepted(verify_list(*state, f.root, list.data, list.len, any));
    for (size_t len = 0; len < list.len; len++) {
        if (len == leaf_end)
            continue; /* a chain too, if not one that leads anywhere */
        uint8_t *part = malloc(len + 1);
        memcpy(part, list.data, len);
        part = realloc(part, len > 0 ? len : 1);
        assert_refused(
            verify_list(*state, f.root, part, len, any), X509_V_ERR_UNSPECIFIED, MILGI_ALERT_BAD_CERTIFICATE);
        free(part);
    }
    milgi__cert_list_clear(&list);
    family_free(&f);
}

/* The work is bounded, not the list: what leads nowhere costs nothing. */
static void certificates_beside_the_path_may_be_many(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256 });
    struct milgi__cert_list list = { .data = NULL };
    struct identity *other = identity_root(IDENTITY_P256, "other");

    assert_int_equal(milgi__cert_list_add(&list, f.leaf->cert_der, f.leaf->cert_der_len), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(milgi__cert_list_add(&list, other->cert_der, other->cert_der_len), 0);
    assert_refused(verify_list(*state, f.root, list.data, list.len, (struct ask){ .name = NULL }),
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, MILGI_ALERT_UNKNOWN_CA);
    assert_int_equal(milgi__cert_list_add(&list, f.middle->cert_der, f.middle->cert_der_len), 0);
    assert_accepted(verify_list(*state, f.root, list.data, list.len, (struct ask){ .name = NULL }));
    milgi__cert_list_clear(&list);
    identity_free(other);
    family_free(&f);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    struct identity *link[22];
    struct milgi__cert_list list = { .data = NULL };

    link[0] = identity_root(IDENTITY_P256, "ca 0");
    for (unsigned i = 1; i < 22; i++) {
        char name[16];
        snprintf(name, sizeof name, "ca %u", i);
        link[i] = identity_new(&(struct identity_options){ .common_name = name,
            .is_ca = i < 21,
            .issuer = link[i - 1] });
    }
    for (unsigned i = 21; i > 0; i--)
        assert_int_equal(milgi__cert_list_add(&list, link[i]->cert_der, link[i]->cert_der_len), 0);
    assert_refused(verify_list(*state, link[0], list.data, list.len, (struct ask){ .name = NULL }),
        X509_V_ERR_CERT_CHAIN_TOO_LONG, MILGI_ALERT_UNKNOWN_CA);
    assert_accepted(verify_list(*state, link[6], list.data, list.len, (struct ask){ .name = NULL }));
    milgi__cert_list_clear(&list);
    for (unsigned i = 0; i < 22; i++)
        identity_free(link[i]);
}

/* --- anchors and other paths -------------------------------------------------------------------------------------- */

/* The leaf and whatever stands behind it, against these anchors; both lists end with NULL. */
static struct outcome verify_paths(
    struct milgi__crypto *cx, struct identity *const *anchors, struct identity *const *chain, int64_t now_s)
{
    struct milgi__cert_list trusted = { .data = NULL }, sent = { .data = NULL };
    struct outcome o = { 99, { 99, 99, 99, { 99 } } };

    for (; *anchors; anchors++)
        assert_int_equal(milgi__cert_list_add(&trusted, (*anchors)->cert_der, (*anchors)->cert_der_len), 0);
    for (; *chain; chain++)
        assert_int_equal(milgi__cert_list_add(&sent, (*chain)->cert_der, (*chain)->cert_der_len), 0);
    struct milgi__store *store = milgi__store_new(trusted.data, trusted.len);
    struct milgi__chain_query query = { .chain = sent.data, .chain_len = sent.len, .purpose = MILGI_PURPOSE_SERVER };
    query.now_s = now_s ? now_s : time(NULL);
    o.result = milgi__chain_verify(cx, store, &query, &o.a);
    milgi__store_free(store);
    milgi__cert_list_clear(&trusted);
    milgi__cert_list_clear(&sent);
    return o;
}
#define LIST(...) \
    (struct identity *const[]) \
    { \
        __VA_ARGS__, NULL \
    }

#define ANCHOR MILGI_PATH_ANCHOR
/* The places that the path is made of, as numbers. */
#define assert_path(o, ...) \
    do { \
        const uint32_t places[] = { __VA_ARGS__ }; \
        struct outcome took = (o); \
        assert_accepted(took); \
        assert_int_equal(took.a.path_n, MILGI__COUNT(places)); \
        assert_memory_equal(took.a.path, places, sizeof places); \
    } while (0)

/* An anchor is a name and a key: RFC 5280 6.1.1. */
static void an_anchor_need_not_have_signed_itself(void **state)
{
    struct family f = family_new(&(struct identity_options){ .key = IDENTITY_P256 });
    struct identity *stranger = identity_leaf(f.root, IDENTITY_P256, "DNS:b.test");

    assert_path(verify_paths(*state, LIST(f.middle), LIST(f.leaf, f.middle), 0), 0, ANCHOR);
    assert_path(verify_paths(*state, LIST(f.middle), LIST(f.leaf), 0), 0, ANCHOR);
    assert_path(verify_paths(*state, LIST(f.leaf), LIST(f.leaf), 0), ANCHOR);
    assert_path(verify_paths(*state, LIST(stranger, f.leaf), LIST(f.leaf, f.middle), 0), ANCHOR | 1);
    /* It vouches for what it signed, and for nothing else; a pinned leaf for itself alone. */
    assert_refused(verify_paths(*state, LIST(f.middle), LIST(stranger, f.middle), 0),
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, MILGI_ALERT_UNKNOWN_CA);
    assert_refused(verify_paths(*state, LIST(f.leaf), LIST(stranger, f.leaf), 0),
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, MILGI_ALERT_UNKNOWN_CA);
    /* It has its time all the same. */
    assert_refused(verify_paths(*state, LIST(f.leaf), LIST(f.leaf), time(NULL) + 400 * DAY),
        X509_V_ERR_CERT_HAS_EXPIRED, MILGI_ALERT_CERTIFICATE_EXPIRED);
    identity_free(stranger);
    family_free(&f);
}

static void every_anchor_of_a_name_is_tried(void **state)
{
    struct identity *root[4];

    for (unsigned i = 0; i < 4; i++)
        root[i] = identity_new(&(struct identity_options){ .common_name = "same", .is_ca = true, .no_key_ids = true });
    for (unsigned i = 0; i < 4; i++) {
        struct identity *leaf = identity_new(
            &(struct identity_options){ .common_name = "leaf", .issuer = root[i], .no_key_ids = true });
        assert_path(verify_paths(*state, LIST(root[0], root[1], root[2], root[3]), LIST(leaf), 0), 0, ANCHOR | i);
        assert_path(
            verify_paths(*state, LIST(root[3], root[2], root[1], root[0]), LIST(leaf), 0), 0, ANCHOR | (3 - i));
        assert_refused(verify_paths(*state, LIST(root[(i + 1) % 4], root[(i + 2) % 4]), LIST(leaf), 0),
            X509_V_ERR_CERT_SIGNATURE_FAILURE, MILGI_ALERT_BAD_CERTIFICATE);
        identity_free(leaf);
    }
    for (unsigned i = 0; i < 4; i++)
        identity_free(root[i]);
}

static void a_good_path_beside_a_bad_one_is_found(void **state)
{
    int64_t now = time(NULL);
    struct identity *old = identity_new(&(struct identity_options){
        .common_name = "old", .is_ca = true, .not_before_s = now - 900 * DAY, .not_after_s = now - DAY });
    struct identity *new = identity_root(IDENTITY_P256, "new");
    struct identity *by_new = identity_new(
        &(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = new });
    struct identity *by_old = identity_new(
        &(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = old, .key_of = by_new });
    struct identity *by_nobody = identity_new(
        &(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = by_old, .key_of = by_new });
    struct identity *leaf = identity_leaf(by_new, IDENTITY_P256, "DNS:a.test");

    assert_path(verify_paths(*state, LIST(old, new), LIST(leaf, by_old, by_new), 0), 0, 2, ANCHOR | 1);
    assert_path(verify_paths(*state, LIST(new, old), LIST(leaf, by_new, by_old), 0), 0, 1, ANCHOR);
    assert_path(verify_paths(*state, LIST(new), LIST(leaf, by_old, by_nobody, by_new), 0), 0, 3, ANCHOR);
    assert_accepted(verify_paths(*state, LIST(old, by_old, by_new, new), LIST(leaf), 0));
    assert_refused(verify_paths(*state, LIST(old), LIST(leaf, by_old, by_new), 0), X509_V_ERR_CERT_HAS_EXPIRED,
        MILGI_ALERT_CERTIFICATE_EXPIRED);
    identity_free(leaf);
    identity_free(by_nobody);
    identity_free(by_old);
    identity_free(by_new);
    identity_free(new);
    identity_free(old);
}

/* As many as a CA's keys in all its years. */
static void many_anchors_of_a_name_are_tried(void **state)
{
    struct identity *root[28 + 1] = { NULL };

    for (unsigned i = 0; i < 28; i++)
        root[i] = identity_new(&(struct identity_options){ .common_name = "same", .is_ca = true, .no_key_ids = true });
    for (unsigned i = 0; i < 28; i += 27) {
        struct identity *leaf = identity_new(
            &(struct identity_options){ .common_name = "leaf", .issuer = root[i], .no_key_ids = true });
        assert_accepted(verify_paths(*state, root, LIST(leaf), 0));
        identity_free(leaf);
    }
    for (unsigned i = 0; i < 28; i++)
        identity_free(root[i]);
}

/* What is forbidden is a name below, whoever forbids it. */
static void a_path_beside_one_whose_names_are_constrained_is_found(void **state)
{
    static const char *const limits[] = { "critical,permitted;DNS:b.test", "critical,excluded;DNS:a.test" };
    struct identity *root = identity_root(IDENTITY_P256, "root");
    struct identity *good = identity_new(
        &(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = root });
    struct identity *leaf = identity_leaf(good, IDENTITY_P256, "DNS:a.test");

    for (unsigned i = 0; i < 2; i++) {
        struct identity *bad = identity_new(&(struct identity_options){
            .common_name = "middle", .is_ca = true, .issuer = root, .key_of = good, .limits = limits[i] });
        struct identity *above = identity_new(&(struct identity_options){
            .common_name = "root", .is_ca = true, .key_of = root, .limits = limits[i] });
        assert_accepted(verify_paths(*state, LIST(root), LIST(leaf, bad, good), 0));
        assert_accepted(verify_paths(*state, LIST(above, root), LIST(leaf, good), 0));
        assert_accepted(verify_paths(*state, LIST(root, above), LIST(leaf, bad, good), 0));
        int32_t verdict = i ? X509_V_ERR_EXCLUDED_VIOLATION : X509_V_ERR_PERMITTED_VIOLATION;
        assert_refused(verify_paths(*state, LIST(root), LIST(leaf, bad), 0), verdict, MILGI_ALERT_CERTIFICATE_UNKNOWN);
        assert_refused(
            verify_paths(*state, LIST(above), LIST(leaf, good), 0), verdict, MILGI_ALERT_CERTIFICATE_UNKNOWN);
        identity_free(above);
        identity_free(bad);
    }
    identity_free(leaf);
    identity_free(good);
    identity_free(root);
}

/* Certificates that might each be the issuer of all others: the search ends all the same. */
static void a_maze_of_issuers_costs_a_bounded_number_of_paths(void **state)
{
    struct identity *root = identity_root(IDENTITY_P256, "root"), *link[40];
    struct milgi__cert_list list = { .data = NULL };

    for (unsigned i = 0; i < 40; i++)
        link[i] = identity_new(
            &(struct identity_options){ .common_name = "same", .is_ca = i > 0, .no_key_ids = true });
    for (unsigned i = 0; i < 40; i++) { /* each names the others as its issuer */
        struct identity *next = identity_new(&(struct identity_options){
            .common_name = "same", .is_ca = i > 0, .no_key_ids = true, .issuer = link[i] });
        assert_int_equal(milgi__cert_list_add(&list, next->cert_der, next->cert_der_len), 0);
        identity_free(next);
    }
    clock_t begin = clock();
    struct outcome o = verify_list(*state, root, list.data, list.len, (struct ask){ .name = NULL });
    assert_int_equal(o.result, MILGI__BAD);
    assert_true(clock() - begin < 2 * CLOCKS_PER_SEC); /* thousands of signatures would take longer */
    milgi__cert_list_clear(&list);
    for (unsigned i = 0; i < 40; i++)
        identity_free(link[i]);
    identity_free(root);
}

static void an_issuers_rsa_key_is_bounded_too(void **state)
{
    static const struct {
        unsigned long exponent;
        bool good;
    } cases[] = { { 3, true }, { 65537, true }, { (1ul << 32) + 15, true }, { (1ul << 33) + 17, false },
        { (1ul << 60) + 33, false } };

    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct identity *root = identity_new(&(struct identity_options){
            .key = IDENTITY_RSA, .rsa_exponent = cases[i].exponent, .common_name = "root", .is_ca = true });
        struct identity *middle = identity_new(&(struct identity_options){ .key = IDENTITY_RSA,
            .rsa_exponent = cases[i].exponent,
            .common_name = "middle",
            .is_ca = true,
            .issuer = root });
        struct identity *leaf = identity_leaf(middle, IDENTITY_P256, "DNS:a.test");
        struct outcome o = verify_paths(*state, LIST(root), LIST(leaf, middle), 0);
        if (cases[i].good)
            assert_accepted(o);
        else
            assert_refused(o, X509_V_ERR_CERT_REJECTED, MILGI_ALERT_BAD_CERTIFICATE);
        identity_free(leaf);
        identity_free(middle);
        identity_free(root);
    }
}

/* Certificates are kept decoded: what was accepted once must not be taken for another. */
static void a_store_tells_apart_what_it_has_seen(void **state)
{
    struct identity *root = identity_root(IDENTITY_P256, "root");
    struct milgi__store *store = store_of(root);
    struct milgi__cert_list chains[40];
    struct milgi__chain_answer answer;

    for (unsigned i = 0; i < 40; i++) {
        char names[32];
        snprintf(names, sizeof names, "DNS:n%u.test", i);
        struct identity *leaf = identity_leaf(root, IDENTITY_P256, names);
        chains[i] = (struct milgi__cert_list){ .data = NULL };
        assert_int_equal(milgi__cert_list_add(&chains[i], leaf->cert_der, leaf->cert_der_len), 0);
        identity_free(leaf);
    }
    for (unsigned i = 0; i < 40 * 40; i++) {
        char name[32];
        struct milgi__cert_list *list = &chains[i % 40];
        int len = snprintf(name, sizeof name, "n%u.test", i / 40);
        struct milgi__chain_query query = { .chain = list->data, .chain_len = list->len, .now_s = time(NULL) };
        query.purpose = MILGI_PURPOSE_SERVER;
        query.name = (const uint8_t *)name;
        query.name_len = (size_t)len;
        int result = milgi__chain_verify(*state, store, &query, &answer);
        assert_int_equal(result, i % 40 == i / 40 ? 0 : MILGI__BAD);
        if (result != 0)
            continue;
        for (size_t at = 60; at < list->len; at += 97) { /* seen a moment ago, but for one bit */
            list->data[at] ^= 4;
            assert_int_equal(milgi__chain_verify(*state, store, &query, &answer), MILGI__BAD);
            list->data[at] ^= 4;
        }
    }
    for (unsigned i = 0; i < 40; i++)
        milgi__cert_list_clear(&chains[i]);
    milgi__store_free(store);
    identity_free(root);
}

static void verdicts_have_texts(void **state)
{
    (void)state;
    assert_string_equal(milgi__verdict_text(X509_V_ERR_CERT_HAS_EXPIRED), "certificate has expired");
    assert_non_null(milgi__verdict_text(12345));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(a_chain_to_an_anchor_is_accepted),
        crypto_test(keys_of_every_kind_are_accepted),
        crypto_test(an_unknown_anchor_is_unknown_ca),
        crypto_test(another_name_is_refused),
        crypto_test(neither_common_names_nor_half_wildcards_count),
        crypto_test(time_is_the_one_given),
        crypto_test(purposes_are_kept_apart),
        crypto_test(a_leaf_issues_nothing),
        crypto_test(weak_keys_and_hashes_are_refused),
        crypto_test(a_damaged_chain_is_a_bad_certificate),
        crypto_test(certificates_beside_the_path_may_be_many),
        crypto_test(a_path_that_is_too_long_is_refused),
        crypto_test(an_anchor_need_not_have_signed_itself),
        crypto_test(every_anchor_of_a_name_is_tried),
        crypto_test(many_anchors_of_a_name_are_tried),
        crypto_test(a_good_path_beside_a_bad_one_is_found),
        crypto_test(a_path_beside_one_whose_names_are_constrained_is_found),
        crypto_test(a_maze_of_issuers_costs_a_bounded_number_of_paths),
        crypto_test(an_issuers_rsa_key_is_bounded_too),
        crypto_test(a_store_tells_apart_what_it_has_seen),
        crypto_test(verdicts_have_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
