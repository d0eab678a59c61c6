/* SPDX-License-Identifier: Apache-2.0 */
/* What of a text is shown: no PIN, however it is written, and nothing that a terminal obeys. */
#include "common/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static void shows(const char *text, const char *wanted)
{
    char *shown = app_show(text, false);
    assert_non_null(shown);
    assert_string_equal(shown, wanted);
    free(shown);
}

static void a_pin_is_cut_out_up_to_the_next_attribute(void **state)
{
    (void)state;
    shows("pkcs11:token=a;pin-value=1234;object=b", "pkcs11:token=a;pin-value=...;object=b");
    shows("pkcs11:token=a?pin-value=1234&module-path=/x", "pkcs11:token=a?pin-value=...&module-path=/x");
    shows("pkcs11:a?pin-value=1234: no such token", "pkcs11:a?pin-value=...: no such token");
    shows("'pkcs11:pin-value=1234' is none", "'pkcs11:pin-value=...' is none");
    shows("pin-value=1 pin-value=2", "pin-value=... pin-value=...");
    shows("pin-value=", "pin-value=...");
}

static void a_pin_is_known_by_its_name_however_that_is_spelled(void **state)
{
    (void)state;
    shows("PIN-VALUE=1234", "PIN-VALUE=...");
    shows("Pin%2dValue%3D1234;x", "Pin%2dValue%3D...;x");
    shows("%70in-value=1234", "%70in-value=...");
    shows("pin-value = 1234;x", "pin-value =...;x");
}

static void other_attributes_stay(void **state)
{
    (void)state;
    shows("pkcs11:token=a?pin-source=/etc/pin", "pkcs11:token=a?pin-source=/etc/pin");
    shows("the pin-value is missing", "the pin-value is missing");
}

static void an_argument_with_a_pin_is_known_whole(void **state)
{
    (void)state;
    char program[] = "milgi", option[] = "--key=pkcs11:token=a;pin-value=1 2: 3\"4;object=b?pin-value=5?6;7&x=y";
    char *argv[] = { program, option };
    app_show_arguments(2, argv);
    shows("there is no option --key=pkcs11:token=a;pin-value=1 2: 3\"4;object=b?pin-value=5?6;7&x=y",
        "there is no option --key=pkcs11:token=a;pin-value=...;object=b?pin-value=...&x=y");
    app_show_arguments(0, NULL);
}

static void what_a_terminal_would_obey_becomes_harmless(void **state)
{
    (void)state;
    shows("a\033[2Jb", "a\\x1b[2Jb");
    shows("a\nb\rc\td", "a\\x0ab\\x0dc\\x09d");
    shows("\x7f", "\\x7f");
    shows("\xc2\x9b", "\\xc2\\x9b");
    shows("\xe2\x80\xae"
          "txt",
        "\\xe2\\x80\\xaetxt");
    shows("\xe2\x81\xa6", "\\xe2\\x81\\xa6");
    shows("\xe2\x80\x8b", "\\xe2\\x80\\x8b");
    shows("\xef\xbb\xbf", "\\xef\\xbb\\xbf");
}

static void bytes_that_are_no_utf_8_are_shown_as_bytes(void **state)
{
    (void)state;
    shows("\xff", "\\xff");
    shows("\xc3", "\\xc3");
    shows("\xc0\xaf", "\\xc0\\xaf");                   /* longer than it must be */
    shows("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* half of a pair */
    shows("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond the last */
    shows("\xe2\x82", "\\xe2\\x82");
}

static void letters_of_all_languages_stay(void **state)
{
    (void)state;
    shows("b\xc3\xbc"
          "cher \xeb\xb0\x80\xea\xb8\xb0 \xf0\x9f\x98\x80",
        "b\xc3\xbc"
        "cher \xeb\xb0\x80\xea\xb8\xb0 \xf0\x9f\x98\x80");
}

static void line_ends_stay_where_lines_are_wanted(void **state)
{
    (void)state;
    char *shown = app_show("one\ntwo\r\n", true);
    assert_string_equal(shown, "one\ntwo\\x0d\n");
    free(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_is_cut_out_up_to_the_next_attribute),
        cmocka_unit_test(a_pin_is_known_by_its_name_however_that_is_spelled),
        cmocka_unit_test(other_attributes_stay),
        cmocka_unit_test(an_argument_with_a_pin_is_known_whole),
        cmocka_unit_test(what_a_terminal_would_obey_becomes_harmless),
        cmocka_unit_test(bytes_that_are_no_utf_8_are_shown_as_bytes),
        cmocka_unit_test(letters_of_all_languages_stay),
        cmocka_unit_test(line_ends_stay_where_lines_are_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
