/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include <milgi/config.h>

#include "base/base.h"
#include "cert/cert.h"
#include "config/names.h"

#define MILGI__LIST_MAX 24

struct milgi__u16_list {
    uint16_t n;
    uint16_t v[MILGI__LIST_MAX];
};

struct milgi_config {
    _Atomic uint32_t refs;
    enum milgi_role role;
    bool frozen;
    bool looks; /* server: something is to be done about a ClientHello before it is answered */
    bool accept_any_server, early_server_data, middlebox, client_auth_set;
    enum milgi_client_auth client_auth;
    struct milgi_credential **credentials;
    size_t credentials_n;
    struct milgi__names names; /* of the credentials; made by freeze */
    struct milgi_trust *trust;
    uint8_t *alpn; /* ProtocolNameList: each with its length byte before it */
    size_t alpn_len;
    struct milgi__u16_list suites, groups, schemes; /* schemes: of CertificateVerify */
    /* schemes plus those only for certificates; filled in by freeze */
    struct milgi__u16_list cert_schemes;
    size_t key_shares;
    unsigned ask;
    milgi_keylog_cb keylog;
    void *keylog_ctx;
    milgi_padding_cb padding;
    void *padding_ctx;
    uint64_t limit[MILGI_LIMITS];
};

static inline bool milgi__list_has(const struct milgi__u16_list *list, uint16_t v)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (list->v[i] == v)
            return true;
    }
    return false;
}
