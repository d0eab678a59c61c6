/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that go and come back, have few sessions, or forget who is logged in; processes that fork. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <p11-kit/pkcs11.h>

#include "bench.h"
#include "desk.h"

static struct milgi_device *device;
static struct milgi_credential *key;

static int begin(void **state)
{
    desk_calm();
    device = desk_device(*state ? *state : "pkcs11:4,retry=0");
    key = desk_usual(IDENTITY_P256);
    return 0;
}

static int end(void **state)
{
    (void)state;
    milgi_credential_unref(key);
    milgi_device_free(device);
    return 0;
}

static int sign_one(struct bench *bench)
{
    int code;

    bench_submit(device, bench, 1);
    (void)bench_collect(device, bench, 1, &code);
    return code;
}

/* --- sessions and logins ------------------------------------------------------------------------------------------ */

static void each_thread_at_work_has_a_session_and_one_login_is_for_all(void **state)
{
    struct bench *bench = bench_new(device, key);
    int code;

    (void)state;
    assert_int_equal(sign_one(bench), 0);
    desk_shim->blocked = true;
    bench_submit(device, bench, 32);
    while (desk_shim->signatures < 5) /* four at once */
        usleep(100);
    desk_shim->blocked = false;
    assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    assert_int_equal(desk_shim->sessions_most, 4);
    assert_int_equal(desk_shim->logins, 1);
    bench_free(device, bench);
}

static void a_token_with_one_session_makes_threads_wait_for_it(void **state)
{
    struct bench *bench = bench_new(device, key);
    int code;

    (void)state;
    desk_shim->sessions = 1;
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    assert_int_equal(desk_shim->sessions_most, 1);
    bench_free(device, bench);
}

static void whatever_handle_is_not_valid_any_more_is_got_anew(void **state)
{
    static const CK_RV all[] = { CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_KEY_HANDLE_INVALID,
        CKR_OBJECT_HANDLE_INVALID, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT };
    struct bench *bench = bench_new(device, key);

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        assert_int_equal(sign_one(bench), 0);
        desk_shim->sign_error = all[i];
        desk_shim->sign_errors = 1;
        assert_int_equal(sign_one(bench), 0);
        assert_int_equal(desk_shim->sign_errors, 0);
    }
    assert_int_equal(desk_shim->lives, 1);
    bench_free(device, bench);
}

static void who_is_logged_out_logs_in_again(void **state)
{
    struct bench *bench = bench_new(device, key);

    (void)state;
    assert_int_equal(sign_one(bench), 0);
    unsigned logins = desk_shim->logins;
    desk_shim->sign_error = CKR_USER_NOT_LOGGED_IN;
    desk_shim->sign_errors = 1;
    assert_int_equal(sign_one(bench), 0);
    assert_int_equal(desk_shim->logins, logins + 1);
    bench_free(device, bench);
}

/* --- gone and back ------------------------------------------------------------------------------------------------ */

static void a_token_that_goes_fails_ops_until_it_is_back(void **state)
{
    struct bench *bench = bench_new(device, key);
    int code;

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(sign_one(bench), 0);
        desk_shim->absent = true;
        bench_submit(device, bench, 32);
        assert_int_equal(bench_collect(device, bench, 32, &code), 0);
        assert_int_equal(code, MILGI_CODE_PKCS11_NO_TOKEN);
        desk_shim->absent = false;
        bench_submit(device, bench, 32);
        assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    }
    bench_free(device, bench);
}

static void a_module_that_sees_it_only_when_started_anew_is_started_anew(void **state)
{
    struct bench *bench = bench_new(device, key);
    int code;

    (void)state;
    desk_shim->until_anew = true;
    assert_int_equal(sign_one(bench), 0);
    desk_shim->absent = true;
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 0);
    unsigned lives = desk_shim->lives;
    desk_shim->absent = false;
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    assert_true(desk_shim->lives > lives);
    bench_free(device, bench);
}

static void a_token_that_goes_in_the_midst_of_signatures_loses_none(void **state)
{
    struct bench *bench = bench_new(device, key);
    int code;

    (void)state;
    assert_int_equal(sign_one(bench), 0);
    desk_shim->blocked = true;
    bench_submit(device, bench, 32);
    while (desk_shim->signatures < 5)
        usleep(100);
    desk_shim->absent = true;
    desk_shim->blocked = false;
    assert_int_equal(bench_collect(device, bench, 32, &code), 0);
    assert_int_equal(code, MILGI_CODE_PKCS11_NO_TOKEN);
    desk_shim->absent = false;
    assert_int_equal(sign_one(bench), 0);
    bench_free(device, bench);
}

static void a_token_that_is_away_is_asked_for_once_and_then_left_alone(void **state)
{
    struct bench *bench = bench_new(device, key);
    int code;

    (void)state;
    desk_shim->absent = true;
    assert_int_equal(sign_one(bench), MILGI_CODE_PKCS11_NO_TOKEN);
    unsigned looks = desk_shim->looks;
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 0);
    assert_int_equal(code, MILGI_CODE_PKCS11_NO_TOKEN);
    assert_int_equal(desk_shim->looks, looks);
    bench_free(device, bench);
}

static void a_missing_token_does_not_disturb_the_one_beside_it(void **state)
{
    struct milgi_credential *missing = desk_credential(desk_key[IDENTITY_P256], "token=missing", "pin-value=1234");
    struct bench *bench = bench_new(device, key), *other = bench_new(device, missing);
    int code;

    (void)state;
    assert_int_equal(sign_one(bench), 0);
    unsigned lives = desk_shim->lives, logins = desk_shim->logins;
    bench_submit(device, other, 1);
    assert_int_equal(bench_collect(device, other, 1, &code), 0);
    assert_int_equal(code, MILGI_CODE_PKCS11_NO_TOKEN);
    assert_int_equal(sign_one(bench), 0);
    assert_int_equal(desk_shim->lives, lives);
    assert_int_equal(desk_shim->logins, logins);
    bench_free(device, other);
    bench_free(device, bench);
    milgi_credential_unref(missing);
}

/* --- behind a server ---------------------------------------------------------------------------------------------- */

static void a_server_that_ends_and_comes_back_is_found_again(void **state)
{
    char uri[256];
    struct milgi_credential *c;
    int code;

    (void)state;
    snprintf(uri, sizeof uri, "pkcs11:token=" DESK_TOKEN ";object=p256?pin-source=%s&module-path=%s",
        token_pin_file(), TOKEN_REMOTE_MODULE);
    assert_int_equal(milgi_credential_new_uri(desk_key[IDENTITY_P256]->chain_pem,
                         strlen(desk_key[IDENTITY_P256]->chain_pem), uri, &c),
        0);
    token_serve(DESK_TOKEN);
    struct bench *bench = bench_new(device, c);
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    /* Nobody sees it go. */
    token_serve(DESK_TOKEN);
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    token_serve(NULL);
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 0);
    assert_true(code == MILGI_CODE_PKCS11_NO_TOKEN || code == MILGI_CODE_PKCS11_GONE);
    token_serve(DESK_TOKEN);
    bench_submit(device, bench, 32);
    assert_int_equal(bench_collect(device, bench, 32, &code), 32);
    bench_free(device, bench);
    milgi_credential_unref(c);
    token_serve(NULL);
}

static void a_directory_that_is_moved_away_and_back_is_found_again(void **state)
{
    char away[256], path[256];
    struct bench *bench;
    int code;

    (void)state;
    snprintf(away, sizeof away, "%s.away", token_dir());
    snprintf(path, sizeof path, "%s", token_dir());
    bench = bench_new(device, key);
    assert_int_equal(sign_one(bench), 0);
    assert_int_equal(rename(path, away), 0);
    bench_submit(device, bench, 8);
    assert_int_equal(bench_collect(device, bench, 8, &code), 0);
    assert_int_not_equal(code, 0);
    assert_non_null(milgi_device_code_text(code));
    assert_int_equal(rename(away, path), 0);
    bench_submit(device, bench, 8);
    assert_int_equal(bench_collect(device, bench, 8, &code), 8);
    bench_free(device, bench);
}

/* That of a key which is another than the certificate's is not used again: its operation was begun. */
static void with_the_last_session_the_login_ends(void **state)
{
    static const char path[] = "token=" DESK_TOKEN ";object=p256";
    struct milgi_credential *other = desk_credential(desk_stranger, path, "pin-value=" TOKEN_PIN);

    (void)state;
    assert_int_equal(desk_try(device, key), 0);
    assert_int_equal(desk_try(device, other), MILGI_CODE_PKCS11_MISMATCH);
    milgi_credential_unref(other);
    assert_int_equal(desk_try(device, key), 0);
}

/* --- processes and threads ---------------------------------------------------------------------------------------- */

/* ThreadSanitizer ends a child of several threads that starts one of its own. */
void __tsan_init(void) __attribute__((weak));

static void a_device_of_before_a_fork_is_refused_and_a_new_one_works(void **state)
{
    int status, code;

    (void)state;
    if (__tsan_init)
        skip();
    assert_int_equal(desk_try(device, key), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (milgi_device_try_key(device, key, NULL) != MILGI_EFORK)
            _exit(1);
        milgi_device_free(device); /* does nothing */
        struct milgi_device *own;
        if (milgi_device_new("pkcs11:1", &own, NULL) != 0)
            _exit(2);
        if (milgi_device_try_key(own, key, &code) != 0)
            _exit(3);
        milgi_device_free(own);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(desk_try(device, key), 0);
}

static void *sign_many(void *arg)
{
    struct milgi_device *mine = arg;
    int code;

    struct bench *bench = bench_new(mine, key);
    for (int i = 0; i < 5; i++) {
        bench_submit(mine, bench, 32);
        if (bench_collect(mine, bench, 32, &code) != 32)
            return "failed";
    }
    bench_free(mine, bench);
    return NULL;
}

static void engines_and_devices_side_by_side_share_one_login(void **state)
{
    struct milgi_device *other = desk_device("pkcs11:2,retry=0");
    pthread_t threads[4];
    void *failed;

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_many, i % 2 == 0 ? device : other), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(desk_shim->logins, 1);
    assert_int_equal(desk_shim->lives, 1);
    milgi_device_free(other);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)
#define CASE_WITH(function, spec) cmocka_unit_test_prestate_setup_teardown(function, begin, end, spec)

int main(void)
{
    static char patient[] = "pkcs11:4,retry=3600s";
    static const struct CMUnitTest tests[] = {
        CASE(each_thread_at_work_has_a_session_and_one_login_is_for_all),
        CASE(a_token_with_one_session_makes_threads_wait_for_it),
        CASE(whatever_handle_is_not_valid_any_more_is_got_anew),
        CASE(who_is_logged_out_logs_in_again),
        CASE(a_token_that_goes_fails_ops_until_it_is_back),
        CASE(a_module_that_sees_it_only_when_started_anew_is_started_anew),
        CASE(a_token_that_goes_in_the_midst_of_signatures_loses_none),
        CASE_WITH(a_token_that_is_away_is_asked_for_once_and_then_left_alone, patient),
        CASE_WITH(a_missing_token_does_not_disturb_the_one_beside_it, patient),
        CASE(a_server_that_ends_and_comes_back_is_found_again),
        CASE(a_directory_that_is_moved_away_and_back_is_found_again),
        CASE(with_the_last_session_the_login_ends),
        CASE(a_device_of_before_a_fork_is_refused_and_a_new_one_works),
        CASE(engines_and_devices_side_by_side_share_one_login),
    };

    if (!desk_set_up())
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    desk_tear_down();
    return failed;
}
