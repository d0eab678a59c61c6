/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in words: what they set, what they leave, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <milgi/conn.h>
#include <milgi/policy.h>

#include "config/config.h"

#define MUST(call) assert_int_equal(call, 0)

static struct milgi_config *config;

static int setup(void **state)
{
    (void)state;
    config = milgi_config_new(MILGI_CLIENT);
    return config ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    milgi_config_unref(config);
    return 0;
}

static void set(const char *policy)
{
    struct milgi_problem problem;
    if (milgi_config_set_policy(config, policy, &problem) != 0)
        fail_msg("%s: %s", policy, problem.text);
    assert_int_equal(problem.error, 0);
}

static void a_name_sets_all(void **state)
{
    (void)state;
    uint16_t suites = config->suites.n, groups = config->groups.n, schemes = config->schemes.n;
    set("versions=1.2; suites=TLS_AES_256_GCM_SHA384; groups=x25519; schemes=ed25519; rsa=4096; ems=optional");
    set("compatible");
    assert_int_equal(config->version_min, MILGI_TLS_1_2);
    assert_int_equal(config->version_max, MILGI_TLS_1_3);
    set("modern");
    assert_int_equal(config->version_min, MILGI_TLS_1_3);
    assert_int_equal(config->suites.n, suites);
    assert_int_equal(config->groups.n, groups);
    assert_int_equal(config->schemes.n, schemes);
    assert_int_equal(config->rsa_min, 2048);
    assert_false(config->plain_master);
}

static void a_list_sets_what_it_says_and_nothing_else(void **state)
{
    (void)state;
    set("versions=1.3,1.2");
    assert_int_equal(config->version_min, MILGI_TLS_1_2);
    assert_int_equal(config->version_max, MILGI_TLS_1_3);
    uint16_t groups = config->groups.n;
    set("  suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384 ;rsa=3072;  ems=optional ");
    assert_int_equal(config->suites.n, 2);
    assert_int_equal(config->suites.v[0], MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256);
    assert_int_equal(config->suites.v[1], MILGI_SUITE_AES_256_GCM_SHA384);
    assert_int_equal(config->rsa_min, 3072);
    assert_true(config->plain_master);
    assert_int_equal(config->groups.n, groups);
    assert_int_equal(config->version_min, MILGI_TLS_1_2);
    set("modern; groups=secp384r1; schemes=ecdsa_secp384r1_sha384,rsa_pss_rsae_sha384");
    assert_int_equal(config->version_min, MILGI_TLS_1_3);
    assert_int_equal(config->groups.n, 1);
    assert_int_equal(config->groups.v[0], MILGI_GROUP_SECP384R1);
    assert_int_equal(config->schemes.v[1], MILGI_SIG_RSA_PSS_RSAE_SHA384);
    set("versions=1.2");
    assert_int_equal(config->version_max, MILGI_TLS_1_2);
}

static void of_a_policy_and_a_setter_the_last_counts(void **state)
{
    static const uint16_t group = MILGI_GROUP_X25519;
    (void)state;
    MUST(milgi_config_set_groups(config, &group, 1));
    set("groups=secp256r1,x25519");
    assert_int_equal(config->groups.n, 2);
    MUST(milgi_config_set_groups(config, &group, 1));
    assert_int_equal(config->groups.n, 1);
}

static void what_is_unknown_or_unsafe_is_refused_with_its_name(void **state)
{
    static const struct {
        const char *policy, *word, *why;
    } cases[] = {
        { "", "\"\"", "neither" },
        { "old", "\"old\"", "neither" },
        { "rsa=2048; modern", "\"modern\"", "neither" },
        { "modern;", "\"\"", "neither" },
        { "colours=red", "\"colours\"", "unknown" },
        { "versions=1.1,1.2", "\"1.1\"", "no version that is safe" },
        { "versions=", "\"\"", "no version" },
        { "suites=TLS_RSA_WITH_AES_128_CBC_SHA", "\"TLS_RSA_WITH_AES_128_CBC_SHA\"", "not safe" },
        { "suites=TLS_AES_128_GCM_SHA256,", "\"\"", "no suite" },
        { "suites=TLS_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256", "twice" },
        { "groups=ffdhe2048", "\"ffdhe2048\"", "no group" },
        { "schemes=rsa_pkcs1_sha1", "\"rsa_pkcs1_sha1\"", "not safe" },
        { "rsa=1024", "\"1024\"", "not safe" },
        { "rsa=16384", "\"16384\"", "not taken" },
        { "rsa=99999999999999", "\"99999999999999\"", "no number" },
        { "rsa=2k", "\"2k\"", "no number" },
        { "rsa=", "\"\"", "not safe" },
        { "rsa=2048,4096", "\"rsa\"", "one value" },
        { "ems=maybe", "\"maybe\"", "required" },
        { "rsa=3072; rsa=4096", "\"rsa\"", "twice" },
    };
    static char longest[3000];
    struct milgi_problem problem;
    (void)state;
    struct milgi_config before = *config;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(milgi_config_set_policy(config, cases[i].policy, &problem), MILGI_EINVAL);
        assert_int_equal(problem.kind, MILGI_PROBLEM_POLICY);
        if (!strstr(problem.text, cases[i].word) || !strstr(problem.text, cases[i].why))
            fail_msg("%s: %s", cases[i].policy, problem.text);
        assert_memory_equal(&config->suites, &before.suites, sizeof before.suites);
        assert_int_equal(config->rsa_min, before.rsa_min);
        assert_int_equal(config->version_min, before.version_min);
    }
    memset(longest, ';', sizeof longest - 1);
    assert_int_equal(milgi_config_set_policy(config, longest, NULL), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_policy(config, NULL, &problem), MILGI_EINVAL);
    assert_int_equal(milgi_config_set_policy(NULL, "modern", &problem), MILGI_EINVAL);
    config->frozen = true;
    assert_int_equal(milgi_config_set_policy(config, "modern", &problem), MILGI_EINVAL);
    config->frozen = false;
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_name_sets_all),
        ROW(a_list_sets_what_it_says_and_nothing_else),
        ROW(of_a_policy_and_a_setter_the_last_counts),
        ROW(what_is_unknown_or_unsafe_is_refused_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
