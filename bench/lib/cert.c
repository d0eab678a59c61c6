/* SPDX-License-Identifier: Apache-2.0 */
/* A throwaway certificate for both ends of a measurement. */
#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bench.h"

static char *taken(BIO *bio, size_t *len)
{
    char *data;
    long n = BIO_get_mem_data(bio, &data);
    char *copy = malloc((size_t)n + 1);

    if (n <= 0 || !copy)
        bench_die("cannot write PEM");
    memcpy(copy, data, (size_t)n);
    copy[n] = 0;
    *len = (size_t)n;
    BIO_free(bio);
    return copy;
}

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_NAME_new();
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");

    if (!cert || !name || !san ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0) != 1 ||
        X509_set_version(cert, X509_VERSION_3) != 1 || ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) != 1 ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), -86400) ||
        !X509_gmtime_adj(X509_getm_notAfter(cert), 86400L * 30) || X509_set_subject_name(cert, name) != 1 ||
        X509_set_issuer_name(cert, name) != 1 || X509_set_pubkey(cert, key) != 1 || X509_add_ext(cert, san, -1) != 1 ||
        X509_sign(cert, key, EVP_sha256()) <= 0)
        bench_die("cannot make a certificate");
    X509_EXTENSION_free(san);
    X509_NAME_free(name);
    return cert;
}

/* Takes the key. */
static struct bench_cert cert_for(EVP_PKEY *key)
{
    struct bench_cert made;
    BIO *cert_out = BIO_new(BIO_s_mem());
    BIO *key_out = BIO_new(BIO_s_mem());

    if (!key || !cert_out || !key_out)
        bench_die("cannot make a key");
    X509 *cert = self_signed(key);
    if (PEM_write_bio_X509(cert_out, cert) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) != 1)
        bench_die("cannot write PEM");
    made.cert_pem = taken(cert_out, &made.cert_len);
    made.key_pem = taken(key_out, &made.key_len);
    X509_free(cert);
    EVP_PKEY_free(key);
    return made;
}

struct bench_cert bench_cert_make(enum bench_key kind)
{
    return kind == BENCH_ECDSA_P256 ? cert_for(EVP_EC_gen("P-256")) : bench_cert_make_rsa(2048);
}

struct bench_cert bench_cert_make_rsa(unsigned bits)
{
    return cert_for(EVP_RSA_gen((size_t)bits));
}

void bench_cert_free(struct bench_cert *cert)
{
    free(cert->cert_pem);
    free(cert->key_pem);
}
