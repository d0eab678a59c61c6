/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates as people read them, throwaway ones, and random bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <milgi/milgi.h>

/* The subject of a certificate in DER, RFC 2253, UTF-8; to be freed. NULL: it cannot be read. */
char *app_subject(const struct milgi_iov *certificate);

/* The last common name of its subject, UTF-8; to be freed. NULL: it has none. */
char *app_common_name(const struct milgi_iov *certificate);

/* Of a certificate, for people; each text may be NULL when it cannot be had. */
struct app_certificate {
    char *subject, *issuer;   /* RFC 2253, UTF-8 */
    char *names;              /* "DNS:localhost, IP Address:127.0.0.1" */
    char from[24], until[24]; /* "2026-11-29T07:00:00Z" */
};
void app_certificate_read(const struct milgi_iov *der, struct app_certificate *certificate);
void app_certificate_free(struct app_certificate *certificate);

/* What X509_V_ERR_* |code| means. */
const char *app_chain_error(int code);

struct app_throwaway {
    char *chain_pem, *key_pem;
    unsigned char *public_key; /* SubjectPublicKeyInfo in DER */
    int public_key_len;
};
/* A self-signed P-256 certificate and a key that nobody will see again. False: libcrypto failed. Free it anyway. */
bool app_throwaway_make(struct app_throwaway *made);
void app_throwaway_free(struct app_throwaway *made);
/* Strong random bytes; false: there are none. */
bool app_random(void *out, size_t len);
