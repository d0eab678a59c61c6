/* SPDX-License-Identifier: Apache-2.0 */
/* main() of peers that are C programs. */
#include "peer.h"

int main(int argc, char **argv)
{
    return peer_main(argc, argv);
}
