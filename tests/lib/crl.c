/* SPDX-License-Identifier: Apache-2.0 */
#include "crl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define OTHERS_FROM 1000000 /* serial numbers that no identity has */

static void must(int ok, const char *what)
{
    if (ok > 0)
        return;
    fprintf(stderr, "crl: %s failed\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static X509_EXTENSION *strange_extension(void)
{
    ASN1_OBJECT *kind = OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();

    must(kind && value && ASN1_OCTET_STRING_set(value, (const uint8_t *)"\5\0", 2), "extension");
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, kind, 1, value);
    must(extension != NULL, "extension");
    ASN1_OBJECT_free(kind);
    ASN1_OCTET_STRING_free(value);
    return extension;
}

static void revoke(X509_CRL *crl, const ASN1_INTEGER *serial, bool strange)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *at = ASN1_TIME_adj(NULL, time(NULL), -2, 0);

    must(entry && at && X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)(uintptr_t)serial), "serial number");
    must(X509_REVOKED_set_revocationDate(entry, at), "revocation date");
    if (strange) {
        X509_EXTENSION *extension = strange_extension();
        must(X509_REVOKED_add_ext(entry, extension, -1), "extension of an entry");
        X509_EXTENSION_free(extension);
    }
    must(X509_CRL_add0_revoked(crl, entry), "entry");
    ASN1_TIME_free(at);
}

static void add_entries(X509_CRL *crl, const struct crl_options *o)
{
    for (size_t i = 0; i < CRL_REVOKED_MAX && o->revoked[i]; i++)
        revoke(crl, X509_get0_serialNumber(o->revoked[i]->certificate), o->strange_entry && i == 0);
    for (unsigned i = 0; i < o->others; i++) {
        ASN1_INTEGER *serial = ASN1_INTEGER_new();
        must(serial && ASN1_INTEGER_set(serial, OTHERS_FROM + (long)i), "serial number");
        revoke(crl, serial, false);
        ASN1_INTEGER_free(serial);
    }
}

static void add_number(X509_CRL *crl, int nid, long value, int critical)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();

    must(number && ASN1_INTEGER_set(number, value) && X509_CRL_add1_ext_i2d(crl, nid, number, critical, 0), "number");
    ASN1_INTEGER_free(number);
}

static void add_extensions(X509_CRL *crl, const struct crl_options *o)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, o->issuer->certificate, NULL, NULL, crl, 0);
    if (X509_get_ext_by_NID(o->issuer->certificate, NID_subject_key_identifier, -1) >= 0) {
        X509_EXTENSION *id = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid");
        must(id && X509_CRL_add_ext(crl, id, -1), "authorityKeyIdentifier");
        X509_EXTENSION_free(id);
    }
    add_number(crl, NID_crl_number, 2, 0);
    if (o->delta)
        add_number(crl, NID_delta_crl, 1, 1);
    if (o->scope) {
        char text[64];
        snprintf(text, sizeof text, "critical,%s", o->scope);
        X509_EXTENSION *scope = X509V3_EXT_conf_nid(NULL, &ctx, NID_issuing_distribution_point, text);
        must(scope && X509_CRL_add_ext(crl, scope, -1), "issuingDistributionPoint");
        X509_EXTENSION_free(scope);
    }
    if (o->strange) {
        X509_EXTENSION *extension = strange_extension();
        must(X509_CRL_add_ext(crl, extension, -1), "extension");
        X509_EXTENSION_free(extension);
    }
}

static void set_times(X509_CRL *crl, const struct crl_options *o)
{
    bool usual = o->this_s == 0 && o->next_s == 0;
    ASN1_TIME *from = ASN1_TIME_set(NULL, usual ? time(NULL) - 3600 : (time_t)o->this_s);
    ASN1_TIME *until = ASN1_TIME_set(NULL, usual ? time(NULL) + 24L * 3600 : (time_t)o->next_s);

    must(from && X509_CRL_set1_lastUpdate(crl, from), "thisUpdate");
    must(until && (o->endless || X509_CRL_set1_nextUpdate(crl, until)), "nextUpdate");
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
}

char *crl_new(const struct crl_options *o)
{
    X509_CRL *crl = X509_CRL_new();
    EVP_PKEY *key = (o->signer ? o->signer : o->issuer)->private_key;
    const EVP_MD *md = EVP_get_digestbyname(o->digest ? o->digest : "SHA256");
    char *data, *text;

    must(crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2), "version");
    must(X509_CRL_set_issuer_name(crl, X509_get_subject_name(o->issuer->certificate)), "issuer");
    set_times(crl, o);
    add_entries(crl, o);
    add_extensions(crl, o);
    must(X509_CRL_sort(crl), "order");
    must(X509_CRL_sign(crl, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : md), "signing");
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509_CRL(bio, crl), "CRL to PEM");
    long len = BIO_get_mem_data(bio, &data);
    text = calloc(1, (size_t)len + 1);
    must(text != NULL, "memory");
    memcpy(text, data, (size_t)len);
    BIO_free(bio);
    X509_CRL_free(crl);
    return text;
}
