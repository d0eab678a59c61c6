/* SPDX-License-Identifier: Apache-2.0 */
/* Which version of the library this is. */
#include <milgi/milgi.h>

#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

const char *milgi_version(void)
{
    return TEXT(MILGI_VERSION_MAJOR) "." TEXT(MILGI_VERSION_MINOR) "." TEXT(MILGI_VERSION_PATCH);
}

int milgi_version_number(void)
{
    return MILGI_VERSION_NUMBER;
}
