/* SPDX-License-Identifier: Apache-2.0 */
/* On the real crypto backend, for devices that know no other. */
#include "host.h"

#include <time.h>

#include "configs.h"

static struct identity *root, *leaf; /* of the whole run */

struct milgi_config *host_config(enum milgi_role role)
{
    if (!root) {
        root = identity_root(IDENTITY_P256, "Root");
        leaf = identity_leaf(root, IDENTITY_P256, "DNS:server.test");
    }
    return configs_begin(role, role == MILGI_SERVER ? leaf : NULL, role == MILGI_CLIENT ? root : NULL);
}

struct milgi_config *host_freeze(struct milgi_config *config)
{
    return configs_freeze(config);
}

int64_t host_wall_s(void)
{
    return (int64_t)time(NULL);
}
