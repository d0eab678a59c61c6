/* SPDX-License-Identifier: Apache-2.0 */
/* What a config demands of its peers, and how it shows itself. */
#include <milgi/policy.h>

#include "config/config.h"

#include "crypto/cert_list.h"

#define AUTHORITIES_MAX 16384u

int milgi_config_set_strict_alpn(struct milgi_config *config, bool on)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->strict_alpn = on;
    return 0;
}

int milgi_config_set_strict_sni(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_SERVER)
        return MILGI_EINVAL;
    config->strict_sni = on;
    return 0;
}

int milgi_config_set_grease(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_CLIENT)
        return MILGI_EINVAL;
    config->grease = on;
    return 0;
}

void milgi__policy_forget_authorities(struct milgi_config *config)
{
    milgi__free(config->authorities);
    config->authorities = NULL;
    config->authorities_len = 0;
}

int milgi_config_set_authorities(struct milgi_config *config, bool on)
{
    if (config->frozen)
        return MILGI_EINVAL;
    config->send_authorities = on;
    milgi__policy_forget_authorities(config); /* names that were given before */
    return 0;
}

int milgi_config_set_authority_names(struct milgi_config *config, const struct milgi_iov *names, size_t n)
{
    size_t len = 0;

    if (config->frozen || (n > 0 && !names))
        return MILGI_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!names[i].data || names[i].len == 0 || names[i].len > AUTHORITIES_MAX)
            return MILGI_EINVAL;
        len += 2 + names[i].len;
        if (len > AUTHORITIES_MAX)
            return MILGI_EINVAL;
    }
    uint8_t *list = len > 0 ? milgi__alloc_raw(len) : NULL;
    if (len > 0 && !list)
        return MILGI_ENOMEM;
    uint8_t *p = list;
    for (size_t i = 0; p && i < n; i++) {
        milgi__put16(p, (unsigned)names[i].len);
        memcpy(p + 2, names[i].data, names[i].len);
        p += 2 + names[i].len;
    }
    milgi__free(config->authorities);
    config->authorities = list;
    config->authorities_len = len;
    config->send_authorities = false; /* the anchors' */
    return 0;
}

int milgi_config_set_ocsp(struct milgi_config *config, enum milgi_ocsp mode)
{
    if (config->frozen || config->role != MILGI_CLIENT || (unsigned)mode > MILGI_OCSP_REQUIRED)
        return MILGI_EINVAL;
    config->ocsp = (uint8_t)mode;
    return 0;
}

int milgi_config_set_scts(struct milgi_config *config, bool on)
{
    if (config->frozen || config->role != MILGI_CLIENT)
        return MILGI_EINVAL;
    config->scts = on;
    return 0;
}

/* Of all anchors that fit in. */
int milgi__policy_authorities(struct milgi_config *config)
{
    if (!config->send_authorities || !config->trust || config->trust->anchors_len == 0)
        return 0;
    struct milgi__cert_walk walk = { .p = config->trust->anchors, .left = config->trust->anchors_len };
    size_t cap = MILGI__MIN(config->trust->anchors_len, AUTHORITIES_MAX), len = 0;
    int rv = 0;
    config->authorities = milgi__alloc_raw(cap);
    if (!config->authorities)
        return MILGI_ENOMEM;
    while (rv != MILGI_ENOMEM && milgi__cert_walk_next(&walk)) {
        uint8_t *name;
        size_t name_len = 0;
        rv = milgi__cert_name_der(walk.der, walk.der_len, false, &name, &name_len);
        if (rv == 0 && name_len > 0 && name_len + 2 <= cap - len) {
            milgi__put16(config->authorities + len, (unsigned)name_len);
            memcpy(config->authorities + len + 2, name, name_len);
            len += 2 + name_len;
        }
        milgi__free(name);
    }
    config->authorities_len = len;
    return rv == MILGI_ENOMEM ? rv : 0;
}

int milgi__policy_check(const struct milgi_config *config, const char **why)
{
    if (config->strict_alpn && config->alpn_len == 0 && (config->ask & MILGI_DECIDE_ALPN) == 0) {
        *why = "strict ALPN needs protocols";
        return MILGI_EINVAL;
    }
    return 0;
}
