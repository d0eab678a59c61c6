/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel tells of a socket: how much of what it was given has not reached the peer's host. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "loop.h"

size_t milgi__socket_unsent(int fd, uint64_t *ago_ms)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    int bytes = 0;
    *ago_ms = 0;
    if (!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        *ago_ms = info.tcpi_last_ack_recv;
    return !ioctl(fd, SIOCOUTQ, &bytes) && bytes > 0 ? (size_t)bytes : 0;
}
