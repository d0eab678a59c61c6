/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol, versions 1 and 2, as its specification of 2020 has it. */
#include "proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2_FIXED 16u
#define V1_MIN 15u /* "PROXY UNKNOWN\r\n" */
#define V2_PROXY 0x21
#define V2_LOCAL 0x20
#define V2_TCP4 0x11
#define V2_TCP6 0x21
#define V2_FAMILY_MOST 3u   /* unspecified, IPv4, IPv6, UNIX; "other values ... must be rejected as invalid" */
#define V2_PROTOCOL_MOST 2u /* unspecified, stream, datagram; the same of them */

/* Types of what may follow the addresses. */
enum {
    TLV_ALPN = 0x01,
    TLV_AUTHORITY = 0x02,
    TLV_SSL = 0x20,
    TLV_SSL_VERSION = 0x21,
    TLV_SSL_CN = 0x22,
    TLV_SSL_CIPHER = 0x23,
    TLV_SSL_SIG_ALG = 0x24
};
enum {
    CLIENT_SSL = 1,
    CLIENT_CERT_CONN = 2,
    CLIENT_CERT_SESS = 4
};

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* An address as 4 or 16 bytes, and its port. IPv4 in IPv6 is IPv4. The number of bytes; 0: neither. */
static size_t address_of(const struct sockaddr_storage *address, uint8_t bytes[16], uint16_t *port)
{
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        memcpy(bytes, &in->sin_addr, 4);
        *port = ntohs(in->sin_port);
        return 4;
    }
    if (address->ss_family != AF_INET6)
        return 0;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    *port = ntohs(in6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        memcpy(bytes, in6->sin6_addr.s6_addr + 12, 4);
        return 4;
    }
    memcpy(bytes, &in6->sin6_addr, 16);
    return 16;
}

/* Both ends, of one family. The bytes of an address; 0: they are not known. */
static size_t ends_of(const struct proxy_ends *ends, uint8_t from[16], uint8_t to[16], uint16_t ports[2])
{
    size_t len = address_of(&ends->from, from, &ports[0]);
    return len && address_of(&ends->to, to, &ports[1]) == len ? len : 0;
}

/* --- to a backend ------------------------------------------------------------------------------------------------- */

size_t proxy_header_v1(uint8_t out[PROXY_HEADER_V1_MAX + 1], const struct proxy_ends *ends)
{
    uint8_t from[16], to[16];
    uint16_t ports[2];
    char from_text[INET6_ADDRSTRLEN], to_text[INET6_ADDRSTRLEN];
    size_t len = ends_of(ends, from, to, ports);
    int family = len == 4 ? AF_INET : AF_INET6, n;
    if (!len)
        n = snprintf((char *)out, PROXY_HEADER_V1_MAX + 1, "PROXY UNKNOWN\r\n");
    else
        n = snprintf((char *)out, PROXY_HEADER_V1_MAX + 1, "PROXY %s %s %s %u %u\r\n", len == 4 ? "TCP4" : "TCP6",
            inet_ntop(family, from, from_text, sizeof from_text), inet_ntop(family, to, to_text, sizeof to_text),
            ports[0], ports[1]);
    return (size_t)n;
}

struct writer {
    uint8_t *p, *end;
};

static void put16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* All of it or nothing. */
static void write_tlv(struct writer *w, uint8_t type, const void *value, size_t len)
{
    if (len > UINT16_MAX || (size_t)(w->end - w->p) < 3 + len)
        return;
    w->p[0] = type;
    put16(w->p + 1, len);
    memcpy(w->p + 3, value, len);
    w->p += 3 + len;
}

static void write_text(struct writer *w, uint8_t type, const char *text)
{
    if (text && *text)
        write_tlv(w, type, text, strlen(text));
}

static void write_tls(struct writer *w, const struct proxy_tls_facts *facts)
{
    uint8_t buf[1024] = { CLIENT_SSL };
    struct writer inner = { buf + 5, buf + sizeof buf };
    if (facts->client_certificate)
        buf[0] |= CLIENT_CERT_CONN | CLIENT_CERT_SESS;
    /* A verdict of 0: the certificate was presented and verified. */
    buf[4] = facts->client_certificate && facts->verified ? 0 : 1;
    write_text(&inner, TLV_SSL_VERSION, facts->version);
    write_text(&inner, TLV_SSL_CIPHER, facts->cipher);
    write_text(&inner, TLV_SSL_SIG_ALG, facts->sig_alg);
    write_text(&inner, TLV_SSL_CN, facts->common_name);
    write_tlv(w, TLV_SSL, buf, (size_t)(inner.p - buf));
}

size_t proxy_header_v2(
    uint8_t out[PROXY_HEADER_V2_MAX], const struct proxy_ends *ends, const struct proxy_tls_facts *facts)
{
    uint8_t from[16], to[16];
    uint16_t ports[2];
    struct writer w = { out + V2_FIXED, out + PROXY_HEADER_V2_MAX };
    size_t len = ends_of(ends, from, to, ports);
    memcpy(out, signature, sizeof signature);
    out[12] = V2_PROXY;
    out[13] = len == 4 ? V2_TCP4 : len == 16 ? V2_TCP6
                                             : 0;
    if (len) {
        memcpy(w.p, from, len);
        memcpy(w.p + len, to, len);
        put16(w.p + 2 * len, ports[0]);
        put16(w.p + 2 * len + 2, ports[1]);
        w.p += 2 * len + 4;
    }
    if (facts) {
        write_text(&w, TLV_ALPN, facts->alpn);
        write_text(&w, TLV_AUTHORITY, facts->server_name);
        write_tls(&w, facts);
    }
    put16(out + 14, (size_t)(w.p - out) - V2_FIXED);
    return (size_t)(w.p - out);
}

/* --- from in front ------------------------------------------------------------------------------------------------ */

static bool is_v2(const struct proxy_reader *r)
{
    return r->buf[0] == signature[0];
}

size_t proxy_reader_wants(const struct proxy_reader *r)
{
    if (r->len < V1_MIN)
        return V1_MIN - r->len;
    if (!is_v2(r))
        return 1; /* to the end of a line, which may be followed at once by what is not ours */
    if (r->len < V2_FIXED)
        return V2_FIXED - r->len;
    return V2_FIXED + ((size_t)r->buf[14] << 8 | r->buf[15]) - r->len;
}

static void set_address(struct sockaddr_storage *out, size_t len, const uint8_t *bytes, uint16_t port)
{
    memset(out, 0, sizeof *out);
    if (len == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, bytes, 4);
    } else {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, bytes, 16);
    }
}

static bool read_port(const char *text, uint16_t *port)
{
    char *end;
    if (*text < '0' || *text > '9' || (text[0] == '0' && text[1]) || strlen(text) > 5)
        return false;
    unsigned long v = strtoul(text, &end, 10);
    *port = (uint16_t)v;
    return !*end && v <= UINT16_MAX;
}

/* What stands between "PROXY " and the end of the line. */
static enum proxy_read read_v1(char *line, struct proxy_ends *ends)
{
    char *word[5], *rest = line;
    uint8_t from[16], to[16];
    uint16_t ports[2];
    if (!strncmp(line, "UNKNOWN", 7) && (!line[7] || line[7] == ' '))
        return PROXY_READ_DONE;
    for (unsigned i = 0; i < 5; i++) {
        word[i] = strsep(&rest, " ");
        if (!word[i] || !*word[i])
            return PROXY_READ_BAD;
    }
    int family = !strcmp(word[0], "TCP4") ? AF_INET : !strcmp(word[0], "TCP6") ? AF_INET6
                                                                               : AF_UNSPEC;
    if (rest || family == AF_UNSPEC || inet_pton(family, word[1], from) != 1 || inet_pton(family, word[2], to) != 1 ||
        !read_port(word[3], &ports[0]) || !read_port(word[4], &ports[1]))
        return PROXY_READ_BAD;
    size_t len = family == AF_INET ? 4 : 16;
    set_address(&ends->from, len, from, ports[0]);
    set_address(&ends->to, len, to, ports[1]);
    return PROXY_READ_DONE;
}

static enum proxy_read took_v1(struct proxy_reader *r, struct proxy_ends *ends)
{
    static const char prefix[] = "PROXY ";
    size_t known = r->len < sizeof prefix - 1 ? r->len : sizeof prefix - 1;
    if (memcmp(r->buf, prefix, known) != 0)
        return PROXY_READ_BAD;
    if (r->len < V1_MIN)
        return PROXY_READ_MORE;
    const uint8_t *end = memchr(r->buf, '\n', r->len);
    if (!end)
        return r->len < PROXY_HEADER_V1_MAX ? PROXY_READ_MORE : PROXY_READ_BAD;
    if (end[-1] != '\r' || end + 1 != r->buf + r->len || memchr(r->buf, 0, r->len))
        return PROXY_READ_BAD;
    r->buf[r->len - 2] = 0;
    return read_v1((char *)r->buf + sizeof prefix - 1, ends);
}

static enum proxy_read took_v2(struct proxy_reader *r, struct proxy_ends *ends)
{
    size_t known = r->len < sizeof signature ? r->len : sizeof signature;
    if (memcmp(r->buf, signature, known) != 0)
        return PROXY_READ_BAD;
    if (r->len < V2_FIXED)
        return PROXY_READ_MORE;
    size_t len = (size_t)r->buf[14] << 8 | r->buf[15];
    if ((r->buf[12] != V2_PROXY && r->buf[12] != V2_LOCAL) || V2_FIXED + len > sizeof r->buf)
        return PROXY_READ_BAD;
    if (r->len < V2_FIXED + len)
        return PROXY_READ_MORE;
    size_t address = r->buf[13] == V2_TCP4 ? 4 : r->buf[13] == V2_TCP6 ? 16
                                                                       : 0;
    if (r->buf[12] == V2_LOCAL)
        return PROXY_READ_DONE;
    if (r->buf[13] >> 4 > V2_FAMILY_MOST || (r->buf[13] & 15) > V2_PROTOCOL_MOST)
        return PROXY_READ_BAD;
    if (!address)
        return PROXY_READ_DONE;
    if (len < 2 * address + 4)
        return PROXY_READ_BAD;
    const uint8_t *p = r->buf + V2_FIXED, *ports = p + 2 * address;
    set_address(&ends->from, address, p, (uint16_t)(ports[0] << 8 | ports[1]));
    set_address(&ends->to, address, p + address, (uint16_t)(ports[2] << 8 | ports[3]));
    return PROXY_READ_DONE;
}

enum proxy_read proxy_reader_took(struct proxy_reader *r, size_t n, struct proxy_ends *ends)
{
    r->len += n;
    *ends = (struct proxy_ends){ .from.ss_family = AF_UNSPEC, .to.ss_family = AF_UNSPEC };
    if (!r->len)
        return PROXY_READ_MORE;
    return is_v2(r) ? took_v2(r, ends) : took_v1(r, ends);
}
