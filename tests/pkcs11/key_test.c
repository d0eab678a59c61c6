/* SPDX-License-Identifier: Apache-2.0 */
/* Which key a URI means, what may be wrong with it, and what that is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "desk.h"
#include "device/pkcs11/shelf.h"

static struct milgi_device *device;

static int begin(void **state)
{
    (void)state;
    desk_calm();
    device = desk_device("pkcs11:2,retry=0");
    return 0;
}

static int end(void **state)
{
    (void)state;
    milgi_device_free(device);
    return 0;
}

/* Takes the credential. */
static int code_of(struct milgi_credential *credential)
{
    int code = desk_try(device, credential);

    milgi_credential_unref(credential);
    return code;
}

#define P256 desk_key[IDENTITY_P256]
#define RIGHT "pin-value=" TOKEN_PIN

/* --- what works --------------------------------------------------------------------------------------------------- */

static void every_kind_of_key_signs(void **state)
{
    (void)state;
    for (int key = 0; key < IDENTITY_KEYS; key++)
        assert_int_equal(code_of(desk_usual((enum identity_key)key)), 0);
}

static void every_scheme_of_a_key_signs(void **state)
{
    static const struct {
        enum identity_key key;
        uint16_t scheme;
    } all[] = { { IDENTITY_RSA, MILGI_SIG_RSA_PKCS1_SHA256 }, { IDENTITY_RSA, MILGI_SIG_RSA_PKCS1_SHA384 },
        { IDENTITY_RSA, MILGI_SIG_RSA_PKCS1_SHA512 }, { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA256 },
        { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA384 }, { IDENTITY_RSA, MILGI_SIG_RSA_PSS_RSAE_SHA512 },
        { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA256 }, { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA384 },
        { IDENTITY_RSA_PSS, MILGI_SIG_RSA_PSS_PSS_SHA512 }, { IDENTITY_P521, MILGI_SIG_ECDSA_SECP521R1_SHA512 } };
    const struct milgi__p11_options options = { .retry_ns = 0 };
    struct milgi__crypto *cx = milgi__crypto_new();

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(all); i++) {
        struct milgi_credential *c = desk_usual(all[i].key);
        struct milgi__p11_key *key = milgi__p11_key_new(c, &options, NULL);
        struct milgi_op_sign s = { .input_len = 99 };
        assert_int_equal(milgi__p11_key_sign(key, cx, all[i].scheme, &s), 0);
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len, all[i].scheme, s.input, 99, s.sig, s.sig_len), 0);
        /* Once more, now that it is found, and for another message. */
        s.input[98] = 1;
        assert_int_equal(milgi__p11_key_sign(key, cx, all[i].scheme, &s), 0);
        assert_int_equal(milgi__verify(cx, c->spki, c->spki_len, all[i].scheme, s.input, 99, s.sig, s.sig_len), 0);
        assert_int_equal(milgi__p11_key_sign(key, cx, MILGI_SIG_ECDSA_SECP256R1_SHA256, &s), MILGI_CODE_NO_KEY);
        milgi__p11_key_unref(key);
        milgi_credential_unref(c);
    }
    milgi__crypto_free(cx);
}

static void told_so_a_curve_goes_with_every_hash_of_ecdsa(void **state)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512 };
    const struct milgi__p11_options options = { .retry_ns = 0 };
    struct milgi__crypto *cx = milgi__crypto_new();

    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        struct milgi_credential *c = desk_usual((enum identity_key)(IDENTITY_P256 + i / 3));
        struct milgi__p11_key *key = milgi__p11_key_new(c, &options, NULL);
        struct milgi_op_sign s = { .input_len = 99, .any_curve = 1 };
        assert_int_equal(milgi__p11_key_sign(key, cx, schemes[i % 3], &s), 0);
        assert_int_equal(
            milgi__verify_any_curve(cx, c->spki, c->spki_len, schemes[i % 3], s.input, 99, s.sig, s.sig_len), 0);
        assert_int_equal(milgi__p11_key_sign(key, cx, MILGI_SIG_ED25519, &s), MILGI_CODE_NO_KEY);
        milgi__p11_key_unref(key);
        milgi_credential_unref(c);
    }
    milgi__crypto_free(cx);
}

static void a_key_is_found_by_its_id(void **state)
{
    (void)state;
    assert_int_equal(code_of(desk_credential(P256, "token=" DESK_TOKEN ";id=%70%32%35%36;type=private", RIGHT)), 0);
}

static void among_many_keys_the_certificates_is_found(void **state)
{
    (void)state;
    for (int key = 0; key < IDENTITY_KEYS; key++)
        assert_int_equal(code_of(desk_credential(desk_key[key], "token=" DESK_TOKEN, RIGHT)), 0);
}

static void the_device_may_say_where_modules_and_pins_are(void **state)
{
    char uri[] = "pkcs11:token=" DESK_TOKEN ";object=p256", spec[96];
    struct milgi_credential *c;

    (void)state;
    assert_int_equal(milgi_credential_new_uri(P256->chain_pem, strlen(P256->chain_pem), uri, &c), 0);
    snprintf(spec, sizeof spec, "pkcs11:module=%s,pin-source=%s", token_module(), token_pin_file());
    struct milgi_device *other = desk_device(spec);
    assert_int_equal(desk_try(other, c), 0);
    milgi_device_free(other);
    milgi_credential_unref(c);
}

/* --- what does not ------------------------------------------------------------------------------------------------ */

static void an_absent_token_key_or_module_is_called_so(void **state)
{
    char uri[] = "pkcs11:token=" DESK_TOKEN ";object=p256?module-path=/nowhere.so&" RIGHT;
    struct milgi_credential *c;

    (void)state;
    assert_int_equal(code_of(desk_credential(P256, "token=nowhere;object=p256", RIGHT)), MILGI_CODE_PKCS11_NO_TOKEN);
    assert_int_equal(
        code_of(desk_credential(P256, "token=" DESK_TOKEN ";object=none", RIGHT)), MILGI_CODE_PKCS11_NO_OBJECT);
    assert_int_equal(milgi_credential_new_uri(P256->chain_pem, strlen(P256->chain_pem), uri, &c), 0);
    assert_int_equal(code_of(c), MILGI_CODE_PKCS11_MODULE);
}

static void another_key_than_the_certificates_is_called_so(void **state)
{
    (void)state;
    assert_int_equal(code_of(desk_credential(desk_stranger, "token=" DESK_TOKEN ";object=p256", RIGHT)),
        MILGI_CODE_PKCS11_MISMATCH);
    /* Of another kind: there is no such object. */
    assert_int_equal(code_of(desk_credential(desk_stranger, "token=" DESK_TOKEN ";object=rsa", RIGHT)),
        MILGI_CODE_PKCS11_NO_OBJECT);
}

static void a_uri_that_fits_two_tokens_sends_its_pin_to_none(void **state)
{
    (void)state;
    assert_int_equal(code_of(desk_credential(P256, "object=p256", RIGHT)), MILGI_CODE_PKCS11_TOKENS);
    assert_int_equal(desk_shim->logins, 0);
}

static void a_uri_that_makes_no_sense_is_called_so(void **state)
{
    static const char *const paths[] = { "token=%zz", "object=p256;type=cert", "what=this", "slot-id=x" };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(paths); i++)
        assert_int_equal(code_of(desk_credential(P256, paths[i], RIGHT)), MILGI_CODE_PKCS11_URI);
    assert_int_equal(desk_shim->lives, 0);
}

static void a_scheme_that_the_token_does_not_know_is_called_so(void **state)
{
    (void)state;
    desk_shim->no_eddsa = true;
    assert_int_equal(code_of(desk_usual(IDENTITY_ED25519)), MILGI_CODE_PKCS11_MECHANISM);
    assert_int_equal(code_of(desk_usual(IDENTITY_P256)), 0);
}

static void a_plain_key_is_not_for_tokens(void **state)
{
    struct milgi_credential *plain;

    (void)state;
    assert_int_equal(milgi_credential_new_pem(P256->chain_pem, strlen(P256->chain_pem), P256->key_pem,
                         strlen(P256->key_pem), &plain),
        0);
    assert_int_equal(milgi_device_try_key(device, plain, NULL), MILGI_EUNSUPPORTED);
    milgi_credential_unref(plain);
    struct milgi_credential *c = desk_usual(IDENTITY_P256);
    struct milgi_device *cpu = desk_device("cpu");
    assert_int_equal(milgi_device_try_key(cpu, c, NULL), MILGI_EUNSUPPORTED);
    milgi_device_free(cpu);
    milgi_credential_unref(c);
}

/* --- PINs --------------------------------------------------------------------------------------------------------- */

static void a_pin_comes_from_a_file_by_path_or_uri(void **state)
{
    static const char *const forms[] = { "pin-source=%s", "pin-source=file:%s", "pin-source=file://%s" };
    char query[256];

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(forms); i++) {
        snprintf(query, sizeof query, forms[i], token_pin_file());
        assert_int_equal(code_of(desk_credential(P256, "token=" DESK_TOKEN ";object=p256", query)), 0);
    }
}

static void a_pin_that_is_missing_or_cannot_be_read_is_called_so(void **state)
{
    (void)state;
    assert_int_equal(
        code_of(desk_credential(P256, "token=" DESK_TOKEN ";object=p256", "")), MILGI_CODE_PKCS11_NO_PIN);
    assert_int_equal(code_of(desk_credential(P256, "token=" DESK_TOKEN ";object=p256", "pin-source=/nowhere")),
        MILGI_CODE_PKCS11_PIN_SOURCE);
    assert_int_equal(desk_shim->logins, 0);
}

static void a_pin_source_runs_no_program(void **state)
{
    (void)state;
    assert_int_equal(code_of(desk_credential(P256, "token=" DESK_TOKEN ";object=p256", "pin-source=%7Cecho%201234")),
        MILGI_CODE_PKCS11_PIN_SOURCE);
}

static P11KitPin *give_pin(
    const char *source, P11KitUri *uri, const char *description, P11KitPinFlags flags, void *asked)
{
    (void)uri;
    (void)description;
    assert_string_equal(source, "vault");
    assert_int_equal(flags, P11_KIT_PIN_FLAGS_USER_LOGIN);
    (*(int *)asked)++;
    return p11_kit_pin_new_for_string(TOKEN_PIN);
}

static void a_program_may_give_the_pin_itself(void **state)
{
    int asked = 0;

    (void)state;
    p11_kit_pin_register_callback("vault", give_pin, &asked, NULL);
    assert_int_equal(code_of(desk_credential(P256, "token=" DESK_TOKEN ";object=p256", "pin-source=vault")), 0);
    p11_kit_pin_unregister_callback("vault", give_pin, &asked);
    assert_int_equal(asked, 1);
}

static void a_wrong_pin_is_tried_once_whoever_asks(void **state)
{
    struct milgi_credential *c = desk_credential(P256, "token=" DESK_TOKEN ";object=p256", "pin-value=0000");
    struct milgi_device *other = desk_device("pkcs11:1,retry=0");

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(desk_try(device, c), MILGI_CODE_PKCS11_PIN_WRONG);
        assert_int_equal(desk_try(other, c), MILGI_CODE_PKCS11_PIN_WRONG);
    }
    assert_int_equal(desk_shim->logins, 1);
    /* Another PIN is another matter. */
    assert_int_equal(code_of(desk_usual(IDENTITY_P256)), 0);
    assert_int_equal(desk_shim->logins, 2);
    milgi_device_free(other);
    milgi_credential_unref(c);
}

static void a_pin_file_that_is_put_right_helps_without_a_restart(void **state)
{
    char *file = desk_file("changing", "9999\n"), query[256];

    (void)state;
    snprintf(query, sizeof query, "pin-source=%s", file);
    struct milgi_credential *c = desk_credential(P256, "token=" DESK_TOKEN ";object=p256", query);
    assert_int_equal(desk_try(device, c), MILGI_CODE_PKCS11_PIN_WRONG);
    unlink(file);
    free(file);
    free(desk_file("changing", TOKEN_PIN "\n"));
    assert_int_equal(desk_try(device, c), 0);
    milgi_credential_unref(c);
}

static void a_wrong_pin_is_tried_again_when_a_right_one_was_given_since(void **state)
{
    struct milgi_credential *c = desk_credential(P256, "token=" DESK_TOKEN ";object=p256", "pin-value=0000");

    (void)state;
    assert_int_equal(desk_try(device, c), MILGI_CODE_PKCS11_PIN_WRONG);
    assert_int_equal(desk_try(device, c), MILGI_CODE_PKCS11_PIN_WRONG);
    assert_int_equal(desk_shim->logins, 1);
    token_put(DESK_TOKEN, desk_stranger, "elsewhere"); /* another process logs in */
    assert_int_equal(desk_try(device, c), MILGI_CODE_PKCS11_PIN_WRONG);
    assert_int_equal(desk_shim->logins, 2);
    milgi_credential_unref(c);
}

static void the_last_try_is_left_to_people(void **state)
{
    (void)state;
    desk_shim->token_flags = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY;
    assert_int_equal(code_of(desk_usual(IDENTITY_P256)), MILGI_CODE_PKCS11_PIN_LAST);
    desk_shim->token_flags = CKF_USER_PIN_LOCKED;
    assert_int_equal(code_of(desk_usual(IDENTITY_P256)), MILGI_CODE_PKCS11_PIN_LOCKED);
    assert_int_equal(desk_shim->logins, 0);
    desk_shim->token_flags = 0;
    assert_int_equal(code_of(desk_usual(IDENTITY_P256)), 0);
}

static void what_the_token_says_of_its_pin_is_told(void **state)
{
    static const struct {
        CK_RV rv;
        int code;
    } all[] = { { CKR_PIN_LOCKED, MILGI_CODE_PKCS11_PIN_LOCKED }, { CKR_PIN_EXPIRED, MILGI_CODE_PKCS11_PIN_CHANGE },
        { CKR_USER_TYPE_INVALID, MILGI_CODE_PKCS11_OTHER + (int)CKR_USER_TYPE_INVALID } };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(all); i++) {
        desk_shim->login_error = all[i].rv;
        assert_int_equal(code_of(desk_usual(IDENTITY_P256)), all[i].code);
        assert_non_null(milgi_device_code_text(all[i].code));
    }
}

static void a_key_that_wants_the_pin_each_time_gets_it(void **state)
{
    struct milgi_credential *c = desk_usual(IDENTITY_P256);

    (void)state;
    desk_shim->always = true;
    assert_int_equal(desk_try(device, c), 0);
    assert_int_equal(desk_try(device, c), 0);
    assert_int_equal(desk_shim->again, 2);
    assert_int_equal(desk_shim->logins, 1);
    milgi_credential_unref(c);
}

static void no_code_is_without_a_text(void **state)
{
    (void)state;
#define MILGI_X(name, value, text) assert_string_equal(milgi_device_code_text(value), text);
    MILGI_CODES(MILGI_X)
#undef MILGI_X
    assert_null(milgi_device_code_text(0));
    assert_null(milgi_device_code_text(4711));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(every_kind_of_key_signs),
        CASE(every_scheme_of_a_key_signs),
        CASE(told_so_a_curve_goes_with_every_hash_of_ecdsa),
        CASE(a_key_is_found_by_its_id),
        CASE(among_many_keys_the_certificates_is_found),
        CASE(the_device_may_say_where_modules_and_pins_are),
        CASE(an_absent_token_key_or_module_is_called_so),
        CASE(another_key_than_the_certificates_is_called_so),
        CASE(a_uri_that_fits_two_tokens_sends_its_pin_to_none),
        CASE(a_uri_that_makes_no_sense_is_called_so),
        CASE(a_scheme_that_the_token_does_not_know_is_called_so),
        CASE(a_plain_key_is_not_for_tokens),
        CASE(a_pin_comes_from_a_file_by_path_or_uri),
        CASE(a_pin_that_is_missing_or_cannot_be_read_is_called_so),
        CASE(a_pin_source_runs_no_program),
        CASE(a_program_may_give_the_pin_itself),
        CASE(a_wrong_pin_is_tried_once_whoever_asks),
        CASE(a_pin_file_that_is_put_right_helps_without_a_restart),
        CASE(a_wrong_pin_is_tried_again_when_a_right_one_was_given_since),
        CASE(the_last_try_is_left_to_people),
        CASE(what_the_token_says_of_its_pin_is_told),
        CASE(a_key_that_wants_the_pin_each_time_gets_it),
        CASE(no_code_is_without_a_text),
    };

    if (!desk_set_up())
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    desk_tear_down();
    return failed;
}
