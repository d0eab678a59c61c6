/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol, versions 1 and 2: who the client is, said before its bytes. Written to a backend; read from what
 * stands in front. No I/O here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Who is connected to whom. A family other than AF_INET and AF_INET6: not known. */
struct proxy_ends {
    struct sockaddr_storage from, to;
};

/* What version 2 says of the client's TLS beside that; strings may be NULL: not said. */
struct proxy_tls_facts {
    const char *server_name, *alpn, *version, *cipher, *sig_alg, *common_name;
    bool client_certificate, verified;
};

/* --- to a backend ------------------------------------------------------------------------------------------------- */

#define PROXY_HEADER_V1_MAX 107u
#define PROXY_HEADER_V2_MAX 2048u

/* The length of what was written to |out|. */
size_t proxy_header_v1(uint8_t out[PROXY_HEADER_V1_MAX + 1], const struct proxy_ends *ends);
/* Facts that do not fit are left out. */
size_t proxy_header_v2(
    uint8_t out[PROXY_HEADER_V2_MAX], const struct proxy_ends *ends, const struct proxy_tls_facts *facts);

/* --- from in front ------------------------------------------------------------------------------------------------ */

/*
 * Bytes are collected until a header is whole, and not one more is asked for: read at most proxy_reader_wants() bytes
 * to |buf| + |len|, then call proxy_reader_took().
 */
struct proxy_reader {
    size_t len;
    uint8_t buf[4096];
};
enum proxy_read {
    PROXY_READ_MORE,
    PROXY_READ_DONE, /* *ends is filled in; a family of AF_UNSPEC: the sender speaks for itself, or does not know */
    PROXY_READ_BAD
};
size_t proxy_reader_wants(const struct proxy_reader *reader);
enum proxy_read proxy_reader_took(struct proxy_reader *reader, size_t n, struct proxy_ends *ends);
