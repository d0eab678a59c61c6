/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs of a trust: which are taken, what is said of those that are not, and until when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "cert/cert.h"
#include "crl.h"
#include "folder.h"

#define MUST(call) assert_int_equal(call, 0)
#define CRL(...) crl_new(&(struct crl_options){ __VA_ARGS__ })

static struct identity *root;

static int make(void **state)
{
    (void)state;
    root = identity_root(IDENTITY_P256, "root");
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    identity_free(root);
    return 0;
}

static struct milgi_trust *trust_new(void)
{
    struct milgi_trust *trust;
    MUST(milgi_trust_new_pem(root->cert_pem, strlen(root->cert_pem), &trust));
    return trust;
}

/* Adds |len| bytes of |pem| to a trust that has one already, which must stay as it is if they are refused. */
static struct milgi_problem add(const char *pem, size_t len, int expected)
{
    struct milgi_problem problem = { .kind = MILGI_PROBLEM_NONE };
    struct milgi_trust *trust = trust_new();
    char *first = CRL(.issuer = root);

    MUST(milgi_trust_add_crls_pem(trust, first, strlen(first), NULL));
    size_t before = trust->crls_len;
    int rv = milgi_trust_add_crls_pem(trust, pem, len, &problem);
    if (rv != expected)
        print_error("%s\n", problem.text);
    assert_int_equal(rv, expected);
    assert_int_equal(trust->crls_len > before, rv == 0);
    assert_int_equal(trust->crls_n, rv == 0 ? 2 : 1);
    milgi_trust_unref(trust);
    free(first);
    return problem;
}

/* Of a text that is freed. */
static void refused(char *pem, int expected, enum milgi_problem_kind kind, unsigned line, const char *words)
{
    struct milgi_problem problem = add(pem, strlen(pem), expected);
    assert_int_equal(problem.kind, kind);
    assert_int_equal(problem.file, MILGI_FILE_CRLS);
    assert_int_equal(problem.line, line);
    if (!strstr(problem.text, words))
        fail_msg("%s: not in: %s", words, problem.text);
    free(pem);
}

static void a_crl_is_taken_beside_others(void **state)
{
    char *pem = CRL(.issuer = root, .others = 3);
    (void)state;
    assert_int_equal(add(pem, strlen(pem), 0).kind, MILGI_PROBLEM_NONE);
    free(pem);
}

static char *join(const char *a, char *b)
{
    char *text = malloc(strlen(a) + strlen(b) + 1);
    sprintf(text, "%s%s", a, b);
    free(b);
    return text;
}

static void what_is_no_crl_that_can_be_used_is_named(void **state)
{
    (void)state;
    refused(CRL(.issuer = root, .endless = true), MILGI_EUNSUPPORTED, MILGI_PROBLEM_CRL, 1, "until when");
    refused(CRL(.issuer = root, .delta = true), MILGI_EUNSUPPORTED, MILGI_PROBLEM_CRL, 1, "delta");
    refused(CRL(.issuer = root, .digest = "SHA1"), MILGI_EUNSUPPORTED, MILGI_PROBLEM_CRL, 1, "digest");
    refused(join("\n\n", CRL(.issuer = root, .delta = true)), MILGI_EUNSUPPORTED, MILGI_PROBLEM_CRL, 3, "line 3");
    refused(strdup(root->cert_pem), MILGI_EPARSE, MILGI_PROBLEM_UNKNOWN_BLOCK, 1, "CERTIFICATE");
    refused(strdup(root->key_pem), MILGI_EPARSE, MILGI_PROBLEM_UNKNOWN_BLOCK, 1, "PRIVATE KEY");
    refused(strdup(""), MILGI_EPARSE, MILGI_PROBLEM_EMPTY, 0, "empty");
    refused(strdup("what\n"), MILGI_EPARSE, MILGI_PROBLEM_NO_BLOCK, 0, "no CRL");
    refused(strdup("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n"), MILGI_EPARSE, MILGI_PROBLEM_CONTENT, 1,
        "X509 CRL");
    refused(strdup("-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL----\n"), MILGI_EPARSE, MILGI_PROBLEM_LINES, 3,
        "line 3");
    struct milgi_problem problem = add((const char *)root->cert_der, root->cert_der_len, MILGI_EPARSE);
    assert_int_equal(problem.kind, MILGI_PROBLEM_DER);
    assert_non_null(strstr(problem.text, "openssl crl"));
}

/* With two bytes behind it, inside of its block. */
static char *lengthened(char *pem)
{
    BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
    char *name, *header, *data;
    uint8_t *der;
    long len;

    assert_int_equal(PEM_read_bio(in, &name, &header, &der, &len), 1);
    uint8_t *more = calloc(1, (size_t)len + 2);
    memcpy(more, der, (size_t)len);
    more[len] = 5; /* NULL in DER */
    assert_true(PEM_write_bio(out, name, "", more, len + 2) > 0);
    len = BIO_get_mem_data(out, &data);
    char *text = calloc(1, (size_t)len + 1); /* BIO's has no end of its own */
    memcpy(text, data, (size_t)len);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(in);
    BIO_free(out);
    free(more);
    free(pem);
    return text;
}

static void nothing_may_stand_behind_a_crl_in_its_block(void **state)
{
    (void)state;
    refused(lengthened(CRL(.issuer = root)), MILGI_EPARSE, MILGI_PROBLEM_CONTENT, 1, "malformed");
}

static void a_file_is_taken_whole_or_not_at_all(void **state)
{
    char *good = CRL(.issuer = root), *both = join(good, CRL(.issuer = root, .delta = true));
    unsigned line = 1;
    (void)state;
    for (const char *p = good; *p; p++)
        line += *p == '\n';
    refused(both, MILGI_EUNSUPPORTED, MILGI_PROBLEM_CRL, line, "delta");
    free(good);
}

static void what_is_cut_or_damaged_is_refused_or_a_crl(void **state)
{
    char *pem = CRL(.issuer = root, .others = 2);
    size_t len = strlen(pem);
    (void)state;
    for (size_t cut = 0; cut + 2 < len; cut++)
        assert_int_equal(add(pem, cut, MILGI_EPARSE).file, MILGI_FILE_CRLS);
    for (size_t at = 0; at < len; at++) {
        struct milgi_trust *trust = trust_new();
        char *text = strdup(pem);
        text[at] = (char)(text[at] == 'A' ? 'B' : 'A');
        int rv = milgi_trust_add_crls_pem(trust, text, len, NULL);
        assert_true(rv == 0 || rv == MILGI_EPARSE || rv == MILGI_EUNSUPPORTED);
        assert_int_equal(trust->crls_n, rv == 0);
        milgi_trust_unref(trust);
        free(text);
    }
    free(pem);
}

static void they_are_bounded(void **state)
{
    char *pem = CRL(.issuer = root), *many;
    size_t len = strlen(pem), n = 4096;
    struct milgi_trust *trust = trust_new();
    struct milgi_problem problem;

    (void)state;
    many = malloc(n * len);
    for (size_t i = 0; i < n; i++)
        memcpy(many + i * len, pem, len);
    MUST(milgi_trust_add_crls_pem(trust, many, n * len, &problem));
    assert_int_equal(milgi_trust_add_crls_pem(trust, pem, len, &problem), MILGI_ELIMIT);
    assert_int_equal(problem.file, MILGI_FILE_CRLS);
    assert_int_equal(trust->crls_n, n);
    milgi_trust_unref(trust);
    free(many);
    free(pem);
}

static void with_crls_all_of_a_path_is_looked_up_unless_somebody_says_otherwise(void **state)
{
    char *pem = CRL(.issuer = root);
    struct milgi_trust *trust = trust_new();

    (void)state;
    assert_int_equal(trust->crl_check, MILGI_CRL_CHECK_NONE);
    MUST(milgi_trust_add_crls_pem(trust, pem, strlen(pem), NULL));
    assert_int_equal(trust->crl_check, MILGI_CRL_CHECK_ALL);
    MUST(milgi_trust_set_crl_check(trust, MILGI_CRL_CHECK_LEAF));
    MUST(milgi_trust_add_crls_pem(trust, pem, strlen(pem), NULL));
    assert_int_equal(trust->crl_check, MILGI_CRL_CHECK_LEAF);
    assert_int_equal(milgi_trust_set_crl_check(trust, (enum milgi_crl_check)3), MILGI_EINVAL);
    assert_int_equal(milgi_trust_set_crl_check(NULL, MILGI_CRL_CHECK_ALL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_add_crls_pem(trust, NULL, 1, NULL), MILGI_EINVAL);
    milgi_trust_unref(trust);
    free(pem);
}

static void a_trust_in_use_is_changed_no_more(void **state)
{
    char *pem = CRL(.issuer = root);
    struct milgi_trust *trust = trust_new();
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);

    (void)state;
    MUST(milgi_config_set_trust(config, trust));
    assert_int_equal(milgi_trust_add_crls_pem(trust, pem, strlen(pem), NULL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_add_crls_file(trust, "/nonexistent", NULL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_set_crl_check(trust, MILGI_CRL_CHECK_ALL), MILGI_EINVAL);
    assert_int_equal(trust->crl_check, MILGI_CRL_CHECK_NONE);
    milgi_config_unref(config);
    milgi_trust_unref(trust);
    free(pem);
}

static void without_a_trust_they_are_judged(void **state)
{
    char *good = CRL(.issuer = root), *bad = CRL(.issuer = root, .delta = true);

    (void)state;
    MUST(milgi_trust_add_crls_pem(NULL, good, strlen(good), NULL));
    assert_int_equal(milgi_trust_add_crls_pem(NULL, bad, strlen(bad), NULL), MILGI_EUNSUPPORTED);
    assert_int_equal(milgi_trust_add_crls_pem(NULL, NULL, 0, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_trust_add_crls_file(NULL, "/nonexistent", NULL), MILGI_EFILE);
    free(good);
    free(bad);
}

static void they_come_from_files(void **state)
{
    char *pem = CRL(.issuer = root), *file = identity_write(folder(), "crl.pem", pem);
    struct milgi_trust *trust = trust_new();
    struct milgi_problem problem;

    (void)state;
    MUST(milgi_trust_add_crls_file(trust, file, &problem));
    assert_int_equal(trust->crls_n, 1);
    assert_int_equal(milgi_trust_add_crls_file(trust, "/nonexistent", &problem), MILGI_EFILE);
    assert_int_equal(problem.file, MILGI_FILE_CRLS);
    assert_int_equal(milgi_trust_add_crls_file(trust, NULL, &problem), MILGI_EINVAL);
    milgi_trust_unref(trust);
    free(file);
    free(pem);
}

static void the_first_that_goes_out_of_time_is_known(void **state)
{
    int64_t now_s = time(NULL);
    struct milgi_trust *trust = trust_new();

    (void)state;
    assert_int_equal(milgi__trust_good_until(trust, now_s), INT64_MAX);
    for (int i = -1; i < 3; i++) {
        char *pem = CRL(.issuer = root, .this_s = now_s - 1000, .next_s = now_s + i * 100);
        MUST(milgi_trust_add_crls_pem(trust, pem, strlen(pem), NULL));
        free(pem);
    }
    assert_int_equal(milgi__trust_good_until(trust, now_s), now_s);
    assert_int_equal(milgi__trust_good_until(trust, now_s + 1), now_s + 100);
    assert_int_equal(milgi__trust_good_until(trust, now_s + 200), now_s + 200);
    assert_int_equal(milgi__trust_good_until(trust, now_s + 201), INT64_MAX);
    milgi_trust_unref(trust);
}

static unsigned allocations;

static bool fail_at_zero(void)
{
    return allocations-- == 0;
}

/* Nothing is added then, and those that were there are there. */
static void every_failing_allocation_is_told(void **state)
{
    char *first = CRL(.issuer = root), *more = CRL(.issuer = root, .others = 3);
    int error = MILGI_ENOMEM;
    unsigned n;

    (void)state;
    for (n = 0; error != 0; n++) {
        struct milgi_trust *trust = trust_new();
        struct milgi_problem problem;
        MUST(milgi_trust_add_crls_pem(trust, first, strlen(first), NULL));
        assert_true(n < 1000);
        allocations = n;
        milgi__mem_fail = fail_at_zero;
        error = milgi_trust_add_crls_pem(trust, more, strlen(more), &problem);
        milgi__mem_fail = NULL;
        assert_int_equal(trust->crls_n, error == 0 ? 2 : 1);
        if (error != 0) {
            assert_int_equal(error, MILGI_ENOMEM);
            assert_int_equal(problem.error, MILGI_ENOMEM);
        }
        milgi_trust_unref(trust);
    }
    assert_true(n > 2);
    free(first);
    free(more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crl_is_taken_beside_others),
        cmocka_unit_test(what_is_no_crl_that_can_be_used_is_named),
        cmocka_unit_test(nothing_may_stand_behind_a_crl_in_its_block),
        cmocka_unit_test(a_file_is_taken_whole_or_not_at_all),
        cmocka_unit_test(what_is_cut_or_damaged_is_refused_or_a_crl),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(with_crls_all_of_a_path_is_looked_up_unless_somebody_says_otherwise),
        cmocka_unit_test(a_trust_in_use_is_changed_no_more),
        cmocka_unit_test(without_a_trust_they_are_judged),
        cmocka_unit_test(they_come_from_files),
        cmocka_unit_test(the_first_that_goes_out_of_time_is_known),
        cmocka_unit_test(every_failing_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
