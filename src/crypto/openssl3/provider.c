/* SPDX-License-Identifier: Apache-2.0 */
/* The provider's own functions for AEADs and X25519, without the EVP layer in between. */
#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include "crypto/openssl3/openssl3.h"

/* |names| stand with colons between them. */
static bool has_name(const char *names, const char *name)
{
    size_t len = strlen(name);

    while (*names != '\0') {
        size_t n = strcspn(names, ":");
        if (n == len && memcmp(names, name, n) == 0)
            return true;
        names += n;
        names += *names == ':';
    }
    return false;
}

const OSSL_DISPATCH *milgi__provided(const OSSL_PROVIDER *provider, int operation, const char *name)
{
    const OSSL_DISPATCH *found = NULL;
    int no_cache;

    const OSSL_ALGORITHM *list = OSSL_PROVIDER_query_operation(provider, operation, &no_cache);
    for (const OSSL_ALGORITHM *a = list; !found && a && a->algorithm_names; a++) {
        if (has_name(a->algorithm_names, name))
            found = a->implementation;
    }
    OSSL_PROVIDER_unquery_operation(provider, operation, list);
    return found;
}
