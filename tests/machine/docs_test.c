/* SPDX-License-Identifier: Apache-2.0 */
/* docs/handshake.md shows the tables as they are. With MILGI_UPDATE_DOCS=1 it is rewritten. */
#include "graph.h"

#include <string.h>

static const char path[] = MILGI_TESTS_DIR "/../docs/handshake.md";

static char *read_all(void)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char *text = calloc(1, 1 << 18);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    return text;
}

static void write_all(const char *before, size_t before_len, const char *middle, const char *after)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(before, 1, before_len, f), before_len);
    fputs(middle, f);
    fputs(after, f);
    assert_int_equal(fclose(f), 0);
}

static void check(enum milgi_role role, const char *name)
{
    char begin[64];
    snprintf(begin, sizeof begin, "<!-- table of the %s -->\n", name);
    char *text = read_all(), *expected = graph_markdown(role);
    char *from = strstr(text, begin);
    assert_non_null(from);
    from += strlen(begin);
    char *to = strstr(from, "<!-- end -->");
    assert_non_null(to);
    size_t len = strlen(expected);
    bool same = (size_t)(to - from) == len && memcmp(from, expected, len) == 0;
    if (!same && getenv("MILGI_UPDATE_DOCS"))
        write_all(text, (size_t)(from - text), expected, to);
    else if (!same)
        fail_msg("docs/handshake.md shows another table of the %s (MILGI_UPDATE_DOCS=1 rewrites it)", name);
    free(expected);
    free(text);
}

static void the_docs_show_the_tables_as_they_are(void **state)
{
    (void)state;
    check(MILGI_CLIENT, "client");
    check(MILGI_SERVER, "server");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_docs_show_the_tables_as_they_are) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
