/* SPDX-License-Identifier: Apache-2.0 */
/* A policy in words (milgi_config_set_policy()): read whole, judged, and only then taken over. */
#include <stdio.h>

#include <milgi/conn.h>
#include <milgi/policy.h>

#include "config/config.h"

#define WORD_MAX 64
#define LIST_MAX 2048 /* bytes of a policy */

enum key {
    VERSIONS,
    SUITES,
    GROUPS,
    SCHEMES,
    RSA,
    EMS,
    KEYS
};
static const char *const key_names[KEYS] = { "versions", "suites", "groups", "schemes", "rsa", "ems" };

struct reading {
    struct milgi_config *config;   /* what it is to become: the lists of it */
    struct milgi_problem *problem; /* never NULL */
    unsigned seen;                 /* keys, as bits */
};

static int refuse(struct reading *r, const char *word, const char *why)
{
    r->problem->error = MILGI_EINVAL;
    r->problem->kind = MILGI_PROBLEM_POLICY;
    snprintf(r->problem->text, sizeof r->problem->text, "\"%.*s\": %s", WORD_MAX, word, why);
    return MILGI_EINVAL;
}

static void name(struct milgi_config *config, bool modern)
{
    milgi__config_defaults(config);
    config->version_min = modern ? MILGI_TLS_1_3 : MILGI_TLS_1_2;
    config->version_max = MILGI_TLS_1_3;
    config->plain_master = false;
    config->rsa_min = MILGI__RSA_MIN;
}

static int add_version(struct reading *r, const char *word)
{
    bool old = strcmp(word, "1.2") == 0;
    uint16_t version = old ? MILGI_TLS_1_2 : MILGI_TLS_1_3;

    if (!old && strcmp(word, "1.3") != 0)
        return refuse(r, word, "no version that is safe: those are 1.2 and 1.3");
    if (r->config->version_min == 0 || version < r->config->version_min)
        r->config->version_min = version;
    if (version > r->config->version_max)
        r->config->version_max = version;
    return 0;
}

static int add_to(
    struct reading *r, struct milgi__u16_list *list, uint16_t value, const char *word, const char *unknown)
{
    if (value == 0)
        return refuse(r, word, unknown);
    if (milgi__list_has(list, value))
        return refuse(r, word, "is there twice");
    if (list->n == MILGI__LIST_MAX)
        return refuse(r, word, "one too many");
    list->v[list->n++] = value;
    return 0;
}

static int add_group(struct reading *r, const char *word)
{
    uint16_t group = milgi_group_by_name(word);

    if (group != 0 && !milgi__group_usable(group))
        return refuse(r, word, "a group that the crypto library does not have");
    return add_to(r, &r->config->groups, group, word, "no group that is known");
}

static int add_scheme(struct reading *r, const char *word)
{
    uint16_t scheme = milgi_scheme_by_name(word);

    if (scheme != 0 && !milgi__scheme_usable(scheme))
        return refuse(r, word, "a signature scheme that the crypto library does not have");
    return add_to(r, &r->config->schemes, scheme, word,
        "no signature scheme that is known; those of SHA-1 and MD5 are not safe");
}

static int set_rsa(struct reading *r, const char *word)
{
    unsigned bits = 0;

    for (const char *p = word; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || bits > MILGI__RSA_MAX)
            return refuse(r, word, "no number of bits");
        bits = 10 * bits + (unsigned)(*p - '0');
    }
    if (bits < MILGI__RSA_MIN)
        return refuse(r, word, "RSA keys below 2048 bits are not safe");
    if (bits > MILGI__RSA_MAX)
        return refuse(r, word, "RSA keys beyond 8192 bits are not taken");
    r->config->rsa_min = (uint16_t)bits;
    return 0;
}

static int set_ems(struct reading *r, const char *word)
{
    bool optional = strcmp(word, "optional") == 0;

    if (!optional && strcmp(word, "required") != 0)
        return refuse(r, word, "the extended master secret is required, or optional");
    r->config->plain_master = optional;
    return 0;
}

static int add(struct reading *r, enum key key, const char *word)
{
    switch (key) {
    case VERSIONS: return add_version(r, word);
    case SUITES:
        return add_to(r, &r->config->suites, milgi_suite_by_name(word), word,
            "no suite that is known: those with an AEAD and, in TLS 1.2, ECDHE are; others are not safe");
    case GROUPS: return add_group(r, word);
    case SCHEMES: return add_scheme(r, word);
    case RSA: return set_rsa(r, word);
    default: return set_ems(r, word);
    }
}

static void clear(struct milgi_config *config, enum key key)
{
    if (key == VERSIONS)
        config->version_min = config->version_max = 0;
    else if (key == SUITES)
        config->suites.n = 0;
    else if (key == GROUPS)
        config->groups.n = 0;
    else if (key == SCHEMES)
        config->schemes.n = 0;
    config->schemes_named |= key == SCHEMES;
}

/* "key=value,value". */
static int read_entry(struct reading *r, char *entry)
{
    char *equals = strchr(entry, '=');
    unsigned key = 0, n = 0;
    int rv = 0;

    if (!equals)
        return refuse(r, entry, "neither a policy's name nor \"key=value\"");
    *equals = '\0';
    while (key < KEYS && strcmp(entry, key_names[key]) != 0)
        key++;
    if (key == KEYS)
        return refuse(r, entry, "unknown: versions, suites, groups, schemes, rsa and ems may be said");
    if ((r->seen >> key & 1) != 0)
        return refuse(r, entry, "is said twice");
    r->seen |= 1u << key;
    clear(r->config, (enum key)key);
    for (char *word = equals + 1; rv == 0 && word; n++) {
        char *comma = strchr(word, ',');
        if (comma)
            *comma = '\0';
        rv = add(r, (enum key)key, word);
        word = comma ? comma + 1 : NULL;
    }
    if (rv == 0 && n > 1 && key >= RSA)
        return refuse(r, entry, "has one value");
    return rv;
}

/* Entries with semicolons between them and blanks around; the first may be a name. */
static int read_all(struct reading *r, char *text)
{
    bool first = true;
    int rv = 0;

    for (char *entry = text; rv == 0 && entry; first = false) {
        char *end = strchr(entry, ';');
        if (end)
            *end = '\0';
        while (*entry == ' ')
            entry++;
        for (size_t len = strlen(entry); len > 0 && entry[len - 1] == ' ';)
            entry[--len] = '\0';
        bool modern = strcmp(entry, "modern") == 0;
        if (first && (modern || strcmp(entry, "compatible") == 0))
            name(r->config, modern);
        else
            rv = read_entry(r, entry);
        entry = end ? end + 1 : NULL;
    }
    return rv;
}

int milgi_config_set_policy(struct milgi_config *config, const char *policy, struct milgi_problem *problem)
{
    struct milgi_problem own;
    struct milgi_config made;
    char text[LIST_MAX];
    struct reading r = { .config = &made, .problem = problem ? problem : &own };

    *r.problem = (struct milgi_problem){ .error = 0 };
    if (!config || !policy || config->frozen || strlen(policy) >= sizeof text)
        return refuse(&r, "", config && config->frozen ? "the config is frozen" : "no policy, or one that is too long");
    memcpy(text, policy, strlen(policy) + 1);
    made.version_min = config->version_min;
    made.version_max = config->version_max;
    made.suites = config->suites;
    made.groups = config->groups;
    made.schemes = config->schemes;
    made.schemes_named = config->schemes_named;
    made.plain_master = config->plain_master;
    made.rsa_min = config->rsa_min;
    int rv = read_all(&r, text);
    if (rv != 0)
        return rv;
    config->version_min = made.version_min;
    config->version_max = made.version_max;
    config->suites = made.suites;
    config->groups = made.groups;
    config->schemes = made.schemes;
    config->schemes_named = made.schemes_named;
    config->plain_master = made.plain_master;
    config->rsa_min = made.rsa_min;
    return 0;
}
