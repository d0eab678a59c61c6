/* SPDX-License-Identifier: Apache-2.0 */
/* From names to numbers. What the library knows is what there is. */
#include "common/names.h"

#include <stdio.h>

#include "common/say.h"

struct kind {
    uint16_t (*number)(const char *name);
    const char *(*name)(uint16_t number);
};

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
        numbers[i] = kind->number(names->items[i]);
        if (!numbers[i]) {
            complain(kind, option, names->items[i]);
            return false;
        }
        for (size_t k = 0; k < i; k++)
            if (numbers[k] == numbers[i]) {
                app_complain("--%s: %s is named twice", option, kind->name(numbers[i]));
                return false;
            }
    }
    return true;
}

bool app_suites_of(const struct app_list *names, const char *option, uint16_t *numbers, size_t room)
{
    return numbers_of(
        &(struct kind){ milgi_suite_by_name, milgi_suite_name }, names, option, numbers, room);
}

bool app_groups_of(const struct app_list *names, const char *option, uint16_t *numbers, size_t room)
{
    return numbers_of(
        &(struct kind){ milgi_group_by_name, milgi_group_name }, names, option, numbers, room);
}
