/* SPDX-License-Identifier: Apache-2.0 */
/* What a certificate says, in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cert/cert.h"
#include "identity.h"

static int collect(void *arg, enum milgi_name_kind kind, const char *text)
{
    char *out = arg;
    size_t n = strlen(out);

    snprintf(out + n, 512 - n, "%d:%s ", (int)kind, text);
    return 0;
}

static int stop(void *arg, enum milgi_name_kind kind, const char *text)
{
    (void)arg;
    (void)kind;
    (void)text;
    return 7;
}

static void a_certificate_tells_its_owner_issuer_names_time_and_key(void **state)
{
    static const char names[] = "DNS:a.test,IP:192.0.2.1,IP:2001:db8::1,email:a@b.test,URI:spiffe://a.test/b,RID:1.2.3";
    struct identity *root = identity_root(IDENTITY_P256, "the root");
    struct identity_options options = { .key = IDENTITY_RSA, .names = names, .issuer = root };
    options.common_name = "a\x1b[2Jb, c";
    options.not_before_s = 1000000000;
    options.not_after_s = 4000000000;
    struct identity *id = identity_new(&options);
    char text[512] = "";
    int64_t from_s, to_s;

    (void)state;
    assert_int_equal(milgi_certificate_subject(id->cert_der, id->cert_der_len, text, sizeof text), 0);
    assert_string_equal(text, "CN=a\\1B[2Jb\\, c");
    assert_int_equal(milgi_certificate_subject(id->cert_der, id->cert_der_len, text, 5), 0);
    assert_string_equal(text, "CN=a");
    assert_int_equal(milgi_certificate_issuer(id->cert_der, id->cert_der_len, text, sizeof text), 0);
    assert_string_equal(text, "CN=the root");
    assert_int_equal(milgi_certificate_key_type(id->cert_der, id->cert_der_len, text, sizeof text), 0);
    assert_string_equal(text, "RSA 2048");
    assert_int_equal(milgi_certificate_validity(id->cert_der, id->cert_der_len, &from_s, &to_s), 0);
    assert_int_equal(from_s, 1000000000);
    assert_int_equal(to_s, 4000000000);
    text[0] = '\0';
    assert_int_equal(milgi_certificate_names(id->cert_der, id->cert_der_len, collect, text), 0);
    assert_string_equal(text, "0:a.test 1:192.0.2.1 1:2001:db8:0:0:0:0:0:1 2:a@b.test 3:spiffe://a.test/b ");
    assert_int_equal(milgi_certificate_names(id->cert_der, id->cert_der_len, stop, NULL), 7);
    identity_free(id);
    identity_free(root);
}

static void what_is_no_certificate_is_not_read(void **state)
{
    struct identity *id = identity_root(IDENTITY_P256, "root");
    char text[512];
    int64_t from_s, to_s;
    uint8_t *longer = milgi__alloc(id->cert_der_len + 1);

    (void)state;
    memcpy(longer, id->cert_der, id->cert_der_len);
    for (size_t i = 0; i < 2; i++) {
        size_t len = i == 0 ? id->cert_der_len + 1 : id->cert_der_len - 1; /* a byte behind it; one that is missing */
        assert_int_equal(milgi_certificate_subject(longer, len, text, sizeof text), MILGI_EPARSE);
        assert_int_equal(milgi_certificate_issuer(longer, len, text, sizeof text), MILGI_EPARSE);
        assert_int_equal(milgi_certificate_key_type(longer, len, text, sizeof text), MILGI_EPARSE);
        assert_int_equal(milgi_certificate_validity(longer, len, &from_s, &to_s), MILGI_EPARSE);
        assert_int_equal(milgi_certificate_names(longer, len, collect, text), MILGI_EPARSE);
    }
    milgi__free(longer);
    identity_free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_tells_its_owner_issuer_names_time_and_key),
        cmocka_unit_test(what_is_no_certificate_is_not_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
