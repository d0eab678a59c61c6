/* SPDX-License-Identifier: Apache-2.0 */
/* On the fake crypto backend, so that it is the library that is looked at. */
#include "host.h"

#include "fake_identity.h"

struct milgi_config *host_config(enum milgi_role role)
{
    return fake_config(role, NULL);
}

struct milgi_config *host_freeze(struct milgi_config *config)
{
    return fake_freeze(config);
}

int64_t host_wall_s(void)
{
    return FAKE_NOW_S;
}
