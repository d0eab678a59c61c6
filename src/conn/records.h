/* SPDX-License-Identifier: Apache-2.0 */
/* What the transport side consists of when it is records: for records.c and for tests alone. */
#pragma once

#include "conn/transport.h"
#include "record/record.h"

struct milgi__transport {
    struct milgi__record rec;
    struct milgi_engine *engine;
    struct milgi__owner *owner;
    const struct milgi_config *config;
};
