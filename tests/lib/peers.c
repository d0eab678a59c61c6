/* SPDX-License-Identifier: Apache-2.0 */
#include "peers.h"

struct configs_pair peers;

int peers_begin(void **state)
{
    (void)state;
    configs_pair_begin(&peers, IDENTITY_P256);
    return 0;
}

int peers_end(void **state)
{
    (void)state;
    configs_pair_end(&peers);
    return 0;
}
