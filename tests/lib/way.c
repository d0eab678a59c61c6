/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engines without the short path, when MILGI_TESTS_BY_OPS is set: for test programs in which calls of
 * milgi_engine_new() go here (tests/CMakeLists.txt).
 */
#include <stdlib.h>

#include <milgi/milgi.h>

int __real_milgi_engine_new(const struct milgi_engine_options *options, struct milgi_engine **engine);
int __wrap_milgi_engine_new(const struct milgi_engine_options *options, struct milgi_engine **engine);

int __wrap_milgi_engine_new(const struct milgi_engine_options *options, struct milgi_engine **engine)
{
    struct milgi_engine_options own;
    milgi_engine_options_init(&own);
    if (options)
        own = *options;
    if (getenv("MILGI_TESTS_BY_OPS"))
        own.short_path = false;
    return __real_milgi_engine_new(&own, engine);
}
