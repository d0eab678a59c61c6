/* SPDX-License-Identifier: Apache-2.0 */
/* What the library has no business with: showing certificates to people, making throwaway ones and random bytes. */
#include "common/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* What a memory BIO holds, as text to be freed. */
static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    return len >= 0 ? strndup(data, (size_t)len) : NULL;
}

static X509 *read_der(const struct milgi_iov *certificate)
{
    const unsigned char *der = certificate->data;
    return d2i_X509(NULL, &der, (long)certificate->len);
}

static char *name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned long style = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB; /* UTF-8 as it is */
    char *text = bio && X509_NAME_print_ex(bio, name, 0, style) >= 0 ? text_of(bio) : NULL;
    BIO_free(bio);
    return text;
}

char *app_subject(const struct milgi_iov *certificate)
{
    X509 *x = read_der(certificate);
    char *text = x ? name_text(X509_get_subject_name(x)) : NULL;
    X509_free(x);
    return text;
}

char *app_common_name(const struct milgi_iov *certificate)
{
    X509 *x = read_der(certificate);
    const X509_NAME *subject = x ? X509_get_subject_name(x) : NULL;
    unsigned char *utf8 = NULL;
    char *text = NULL;
    int last = -1;
    for (int at = -1; subject && (at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, at)) >= 0;)
        last = at;
    if (last >= 0) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, last);
        int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(entry));
        text = len >= 0 ? strndup((const char *)utf8, (size_t)len) : NULL;
        OPENSSL_free(utf8);
    }
    X509_free(x);
    return text;
}

static char *names_text(const X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    const char *comma = "";
    for (GENERAL_NAME *name; bio && names && (name = sk_GENERAL_NAME_shift(names)) != NULL;) {
        BIO_puts(bio, comma);
        GENERAL_NAME_print(bio, name);
        GENERAL_NAME_free(name);
        comma = ", ";
    }
    char *text = bio && names ? text_of(bio) : NULL;
    BIO_free(bio);
    GENERAL_NAMES_free(names);
    return text;
}

static void time_text(const ASN1_TIME *time, char text[24])
{
    struct tm t;
    *text = 0;
    if (ASN1_TIME_to_tm(time, &t))
        strftime(text, 24, "%Y-%m-%dT%H:%M:%SZ", &t);
}

void app_certificate_read(const struct milgi_iov *der, struct app_certificate *certificate)
{
    X509 *x = read_der(der);
    *certificate = (struct app_certificate){ 0 };
    if (!x)
        return;
    certificate->subject = name_text(X509_get_subject_name(x));
    certificate->issuer = name_text(X509_get_issuer_name(x));
    certificate->names = names_text(x);
    time_text(X509_get0_notBefore(x), certificate->from);
    time_text(X509_get0_notAfter(x), certificate->until);
    X509_free(x);
}

void app_certificate_free(struct app_certificate *certificate)
{
    free(certificate->subject);
    free(certificate->issuer);
    free(certificate->names);
    *certificate = (struct app_certificate){ 0 };
}

const char *app_chain_error(int code)
{
    return X509_verify_cert_error_string(code);
}

static bool fill(X509 *x, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(x);
    return X509_set_version(x, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
        X509_gmtime_adj(X509_getm_notBefore(x), -3600) && X509_gmtime_adj(X509_getm_notAfter(x), 86400) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"throwaway", -1, -1, 0) &&
        X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) && X509_sign(x, key, EVP_sha256());
}

static EVP_PKEY *new_key(void)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_EC, NULL);
    EVP_PKEY *key = NULL;
    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 ||
        EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, NID_X9_62_prime256v1) != 1 || EVP_PKEY_keygen(ctx, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

bool app_throwaway_make(struct app_throwaway *made)
{
    EVP_PKEY *key = new_key();
    X509 *x = X509_new();
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    *made = (struct app_throwaway){ 0 };
    if (key && x && chain && secret && fill(x, key) && PEM_write_bio_X509(chain, x) &&
        PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL)) {
        made->chain_pem = text_of(chain);
        made->key_pem = text_of(secret);
        made->public_key_len = i2d_PUBKEY(key, &made->public_key);
    }
    BIO_free(chain);
    BIO_free(secret);
    X509_free(x);
    EVP_PKEY_free(key);
    return made->chain_pem && made->key_pem && made->public_key_len > 0;
}

void app_throwaway_free(struct app_throwaway *made)
{
    free(made->chain_pem);
    free(made->key_pem);
    OPENSSL_free(made->public_key);
}

bool app_random(void *out, size_t len)
{
    return getrandom(out, len, 0) == (ssize_t)len; /* all of it, up to 256 bytes */
}
