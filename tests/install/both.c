/* SPDX-License-Identifier: Apache-2.0 */
/* A program with two libcryptos: OpenSSL makes a certificate, the library takes it and signs with its key. */
#include <milgi/milgi.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

static EVP_PKEY *key;

static char *certificate(size_t *len)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;

    key = EVP_EC_gen("P-256");
    if (!key || !X509_set_version(x, X509_VERSION_3) || !ASN1_INTEGER_set(X509_get_serialNumber(x), 1) ||
        !X509_gmtime_adj(X509_getm_notBefore(x), -60) || !X509_gmtime_adj(X509_getm_notAfter(x), 3600) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"both", -1, -1, 0) ||
        !X509_set_issuer_name(x, name) || !X509_set_pubkey(x, key) || !X509_sign(x, key, EVP_sha256()) ||
        !PEM_write_bio_X509(bio, x) || !PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
        return NULL;
    *len = (size_t)BIO_get_mem_data(bio, &text);
    X509_free(x);
    return text; /* the BIO's, for as long as the program runs */
}

int main(void)
{
    struct milgi_credential *credential;
    struct milgi_trust *trust;
    unsigned char hash[32];
    unsigned n = 0;

    for (int turn = 0; turn < 3; turn++) {
        size_t len;
        char *pem = certificate(&len);
        if (!pem)
            return 1;
        /* It signs something with the key, and verifies it. */
        int error = milgi_credential_new_pem(pem, len, pem, len, &credential);
        if (error || milgi_trust_new_pem(pem, len, &trust)) {
            fprintf(stderr, "%s\n", milgi_error_text(error));
            return 1;
        }
        printf("%s has a key of %s\n", milgi_credential_subject(credential), milgi_credential_key_type(credential));
        milgi_credential_unref(credential);
        milgi_trust_unref(trust);
        if (EVP_Digest("abc", 3, hash, &n, EVP_sha256(), NULL) != 1 || n != 32 || hash[0] != 0xba)
            return 1;
        EVP_PKEY_free(key);
    }
    return 0;
}
