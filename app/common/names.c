/* SPDX-License-Identifier: Apache-2.0 */
/* From names to numbers. What the library knows is what there is. */
#include "common/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/say.h"

#define NAME 64

/* What is left of a name in these tables and of what was given, without what comes in several spellings. */
static const struct alias {
    const char *other, *name;
} group_aliases[] = {
    { "p256", "secp256r1" },
    { "nistp256", "secp256r1" },
    { "prime256v1", "secp256r1" },
    { "p384", "secp384r1" },
    { "nistp384", "secp384r1" },
    { "p521", "secp521r1" },
    { "nistp521", "secp521r1" },
    { "curve25519", "x25519" },
    { "ecdhx25519", "x25519" },
};

static const struct alias suite_aliases[] = {
    { "aes128gcm", "aes128gcmsha256" },
    { "aes256gcm", "aes256gcmsha384" },
    { "chacha20poly1305", "chacha20poly1305sha256" },
    { "chacha20", "chacha20poly1305sha256" },
};

struct kind {
    const char *(*name)(uint16_t number);
    const struct alias *aliases;
    size_t aliases_n;
};

static const struct kind suites = { milgi_suite_name, suite_aliases, sizeof suite_aliases / sizeof suite_aliases[0] };
static const struct kind groups = { milgi_group_name, group_aliases, sizeof group_aliases / sizeof group_aliases[0] };

/* Small letters and digits only, without "tls" or "tls13" before them. */
static void plain(const char *name, char to[NAME])
{
    size_t n = 0;
    for (; *name && n < NAME - 1; name++)
        if (isalnum((unsigned char)*name))
            to[n++] = (char)tolower((unsigned char)*name);
    to[n] = 0;
    size_t skip = !strncmp(to, "tls13", 5) ? 5 : !strncmp(to, "tls", 3) ? 3
                                                                        : 0;
    memmove(to, to + skip, n - skip + 1);
}

static uint16_t number_of(const struct kind *kind, const char *text)
{
    char wanted[NAME], known[NAME];
    plain(text, wanted);
    for (size_t i = 0; i < kind->aliases_n; i++)
        if (!strcmp(wanted, kind->aliases[i].other))
            snprintf(wanted, sizeof wanted, "%s", kind->aliases[i].name);
    for (uint16_t number = 1; number < UINT16_MAX; number++) {
        const char *name = kind->name(number);
        if (!name)
            continue;
        plain(name, known);
        if (!strcmp(wanted, known))
            return number;
    }
    return 0;
}

static void complain(const struct kind *kind, const char *option, const char *text)
{
    char all[512] = "";
    size_t len = 0;
    for (uint16_t number = 1; number < UINT16_MAX; number++) {
        const char *name = kind->name(number);
        if (name && len < sizeof all)
            len += (size_t)snprintf(all + len, sizeof all - len, "%s%s", len ? ", " : "", name);
    }
    app_complain("--%s: '%s' is not known: there are %s", option, text, all);
}

static bool numbers_of(
    const struct kind *kind, const struct app_list *names, const char *option, uint16_t *numbers, size_t room)
{
    if (names->n > room) {
        app_complain("--%s: more than %zu names", option, room);
        return false;
    }
    for (size_t i = 0; i < names->n; i++) {
        numbers[i] = number_of(kind, names->items[i]);
        if (!numbers[i]) {
            complain(kind, option, names->items[i]);
            return false;
        }
    }
    return true;
}

bool app_suites_of(const struct app_list *names, const char *option, uint16_t *numbers, size_t room)
{
    return numbers_of(&suites, names, option, numbers, room);
}

bool app_groups_of(const struct app_list *names, const char *option, uint16_t *numbers, size_t room)
{
    return numbers_of(&groups, names, option, numbers, room);
}
