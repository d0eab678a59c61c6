/* SPDX-License-Identifier: Apache-2.0 */
/* Which driver the kernel has behind a name: /proc/crypto has a paragraph for each. */
#include "device/afalg/drivers.h"

#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX 256

/* "key   : value" with its end of line. */
static bool is(const char *line, const char *key, const char **value)
{
    size_t len = strlen(key);
    const char *at = strstr(line, ": ");

    if (strncmp(line, key, len) != 0 || !at || (line[len] != ' ' && line[len] != ':'))
        return false;
    *value = at + 2;
    return true;
}

static void copy(char to[MILGI__DRIVER_NAME], const char *from)
{
    size_t len = strcspn(from, "\n");

    len = MILGI__MIN(len, MILGI__DRIVER_NAME - 1);
    memcpy(to, from, len);
    to[len] = '\0';
}

struct paragraph {
    char name[MILGI__DRIVER_NAME];
    struct milgi__driver driver;
    long priority;
    bool aead;
};

static void add(struct paragraph *p, const char *line)
{
    const char *value;

    if (is(line, "name", &value))
        copy(p->name, value);
    else if (is(line, "driver", &value))
        copy(p->driver.name, value);
    else if (is(line, "priority", &value))
        p->priority = strtol(value, NULL, 10);
    else if (is(line, "type", &value))
        p->aead = strncmp(value, "aead", 4) == 0;
    else if (is(line, "async", &value))
        p->driver.async = strncmp(value, "yes", 3) == 0;
}

/* Of several of one name the kernel takes the one with the highest priority. */
bool milgi__driver_of(const char *path, const char *name, struct milgi__driver *driver)
{
    FILE *file = fopen(path, "re");
    struct paragraph p = { .priority = 0 };
    char line[LINE_MAX];
    long best = 0;
    bool found = false;

    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        if (line[0] != '\n') {
            add(&p, line);
            continue;
        }
        bool fits = p.aead && (strcmp(p.name, name) == 0 || strcmp(p.driver.name, name) == 0);
        if (fits && (!found || p.priority > best)) {
            found = true;
            best = p.priority;
            *driver = p.driver;
        }
        p = (struct paragraph){ .priority = 0 };
    }
    fclose(file);
    return found;
}
