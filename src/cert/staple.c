/* SPDX-License-Identifier: Apache-2.0 */
/* What stands beside a credential's leaf, and is exchanged while connections use it. */
#include <milgi/policy.h>

#include "base/port.h"
#include "cert/cert.h"

#define OCSP_MAX 0xffffu
#define NAMES_MAX 512u /* of a peer's list that are looked at */

void milgi__staple_unref(struct milgi__staple *staple)
{
    if (staple && atomic_fetch_sub_explicit(&staple->refs, 1, memory_order_acq_rel) == 1)
        milgi__free(staple);
}

static void lock(struct milgi_credential *credential)
{
    while (atomic_flag_test_and_set_explicit(&credential->staple_lock, memory_order_acquire))
        continue;
}

static void unlock(struct milgi_credential *credential)
{
    atomic_flag_clear_explicit(&credential->staple_lock, memory_order_release);
}

struct milgi__staple *milgi__credential_staple(
    struct milgi_credential *credential, enum milgi__staple_kind kind, int64_t now_s)
{
    lock(credential);
    struct milgi__staple *staple = credential->staple[kind];
    if (staple && staple->until_s < now_s)
        staple = NULL;
    if (staple)
        atomic_fetch_add_explicit(&staple->refs, 1, memory_order_relaxed);
    unlock(credential);
    return staple;
}

void milgi__credential_forget_staples(struct milgi_credential *credential)
{
    for (unsigned i = 0; i < MILGI__STAPLES; i++)
        milgi__staple_unref(credential->staple[i]);
}

static int exchange(struct milgi_credential *credential, enum milgi__staple_kind kind, const void *data, size_t len,
    int64_t until_s)
{
    struct milgi__staple *made = NULL;

    if (len > 0) {
        made = milgi__alloc_raw(sizeof *made + len);
        if (!made)
            return MILGI_ENOMEM;
        atomic_init(&made->refs, 1);
        made->until_s = until_s;
        made->len = len;
        memcpy(made->data, data, len);
    }
    lock(credential);
    struct milgi__staple *before = credential->staple[kind];
    credential->staple[kind] = made;
    unlock(credential);
    milgi__staple_unref(before);
    return 0;
}

int milgi_credential_set_ocsp(struct milgi_credential *credential, const void *response, size_t len)
{
    int64_t until_s = 0;

    if (!credential || (len > 0 && !response) || len > OCSP_MAX)
        return MILGI_EINVAL;
    if (len > 0 && milgi__ocsp_read(response, len, &until_s) != 0)
        return MILGI_EPARSE;
    return exchange(credential, MILGI__STAPLE_OCSP, response, len, until_s);
}

int milgi_credential_set_ocsp_file(struct milgi_credential *credential, const char *file)
{
    size_t len;

    if (!credential || !file)
        return MILGI_EINVAL;
    uint8_t *response = milgi__port_read_file(file, &len);
    if (!response)
        return MILGI_EFILE;
    int rv = len > 0 ? milgi_credential_set_ocsp(credential, response, len) : MILGI_EPARSE;
    milgi__free_wiped(response, len);
    return rv;
}

/* A SignedCertificateTimestampList: 2 bytes of length, then entries with 2 bytes of length each. */
static bool is_timestamps(const uint8_t *p, size_t len)
{
    size_t at = 2;

    if (len < 5 || milgi__get16(p) != len - 2)
        return false;
    while (at + 2 < len && milgi__get16(p + at) != 0)
        at += 2 + (size_t)milgi__get16(p + at);
    return at == len;
}

int milgi_credential_set_scts(struct milgi_credential *credential, const void *list, size_t len)
{
    if (!credential || (len > 0 && !list) || len > OCSP_MAX)
        return MILGI_EINVAL;
    if (len > 0 && !is_timestamps(list, len))
        return MILGI_EPARSE;
    return exchange(credential, MILGI__STAPLE_TIMESTAMPS, list, len, INT64_MAX);
}

static bool has_issuer(const struct milgi_credential *credential, const uint8_t *name, size_t len)
{
    for (size_t at = 0; at < credential->issuers_len;) {
        const uint8_t *p = credential->issuers + at;
        size_t own = milgi__get16(p);
        if (own == len && memcmp(p + 2, name, len) == 0)
            return true;
        at += 2 + own;
    }
    return false;
}

bool milgi__credential_issued_by(const struct milgi_credential *credential, const uint8_t *names, size_t len)
{
    size_t at = 0;

    for (unsigned n = 0; n < NAMES_MAX && at < len; n++) {
        size_t one = milgi__get16(names + at);
        if (has_issuer(credential, names + at + 2, one))
            return true;
        at += 2 + one;
    }
    return false;
}
