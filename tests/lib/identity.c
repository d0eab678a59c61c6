/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

static void must(int ok, const char *what)
{
    if (ok > 0)
        return;
    fprintf(stderr, "identity: %s failed\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

#define FACTOR_BITS 192

/* A modulus of primes that are found in no time, and what undoes |e|; *d is NULL if nothing does. */
static BIGNUM *make_modulus(int bits, const BIGNUM *e, BIGNUM **d)
{
    BN_CTX *bn = BN_CTX_new();
    BIGNUM *n = BN_new(), *phi = BN_new(), *p = BN_new();
    must(bn && phi && p && n && BN_one(n) && BN_one(phi), "memory");
    for (int i = 0; BN_num_bits(n) < bits; i++) {
        int left = bits - BN_num_bits(n);
        bool last = left < 2 * FACTOR_BITS; /* the product is shorter than both by a bit, or not */
        must(BN_generate_prime_ex(p, last ? left + i % 2 : FACTOR_BITS, 0, NULL, NULL, NULL), "prime");
        BIGNUM *product = BN_new();
        must(BN_mul(product, n, p, bn), "product");
        if (!last || BN_num_bits(product) == bits) {
            BN_copy(n, product);
            must(BN_sub_word(p, 1) && BN_mul(phi, phi, p, bn), "product");
        }
        BN_free(product);
    }
    *d = BN_is_odd(e) ? BN_mod_inverse(NULL, e, phi, bn) : NULL;
    BN_free(phi);
    BN_free(p);
    BN_CTX_free(bn);
    return n;
}

static EVP_PKEY *import_rsa(const char *algorithm, const BIGNUM *n, const BIGNUM *e, const BIGNUM *d)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    must(build && OSSL_PARAM_BLD_push_BN(build, "n", n) && OSSL_PARAM_BLD_push_BN(build, "e", e), "RSA numbers");
    must(!d || OSSL_PARAM_BLD_push_BN(build, "d", d), "RSA numbers");
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    must(params && ctx && EVP_PKEY_fromdata_init(ctx) > 0, "RSA import");
    must(EVP_PKEY_fromdata(ctx, &key, d ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params), "RSA import");
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* A key of any size and exponent. Nobody's secret is safe with it. */
static EVP_PKEY *make_quick_rsa(const char *algorithm, unsigned bits, const BIGNUM *e)
{
    BIGNUM *d, *n = make_modulus((int)bits, e, &d);
    while (!d && BN_is_odd(e)) { /* the exponent divides what it must not */
        BN_free(n);
        n = make_modulus((int)bits, e, &d);
    }
    EVP_PKEY *key = import_rsa(algorithm, n, e, d);
    BN_free(n);
    BN_free(d);
    return key;
}

static EVP_PKEY *make_rsa(const char *algorithm, unsigned bits, unsigned long exponent)
{
    BIGNUM *e = BN_new();
    EVP_PKEY *key = NULL;
    must(e && BN_set_word(e, exponent != 0 ? exponent : 65537), "RSA exponent");
    if (bits > 4096 || exponent == 1 || (exponent != 0 && exponent % 2 == 0)) {
        key = make_quick_rsa(algorithm, bits != 0 ? bits : 2048, e);
        BN_free(e);
        return key;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    must(ctx && EVP_PKEY_keygen_init(ctx) > 0, "RSA context");
    must(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)(bits != 0 ? bits : 2048)), "RSA size");
    must(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e), "RSA exponent");
    must(EVP_PKEY_generate(ctx, &key), "RSA key");
    BN_free(e);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *make_key(const struct identity_options *options)
{
    EVP_PKEY *key = NULL;
    if (options->key_of) {
        key = options->key_of->private_key;
        must(EVP_PKEY_up_ref(key), "key");
        return key;
    }
    switch (options->key) {
    case IDENTITY_P256:
        key = EVP_EC_gen("P-256");
        break;
    case IDENTITY_P384:
        key = EVP_EC_gen("P-384");
        break;
    case IDENTITY_P521:
        key = EVP_EC_gen("P-521");
        break;
    case IDENTITY_RSA:
        key = make_rsa("RSA", options->rsa_bits, options->rsa_exponent);
        break;
    case IDENTITY_RSA_PSS:
        key = make_rsa("RSA-PSS", options->rsa_bits, options->rsa_exponent);
        break;
    case IDENTITY_ED25519:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case IDENTITY_ED448:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
        break;
    }
    must(key != NULL, "key generation");
    return key;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    if (*value == '\0')
        return;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(extension != NULL, value);
    must(X509_add_ext(cert, extension, -1), "adding an extension");
    X509_EXTENSION_free(extension);
}

static void add_extensions(X509 *cert, X509 *issuer, const struct identity_options *options)
{
    const char *usual = options->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
    add_extension(cert, issuer, NID_basic_constraints, options->constraints ? options->constraints : usual);
    usual = options->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature";
    add_extension(cert, issuer, NID_key_usage, options->usage ? options->usage : usual);
    add_extension(cert, issuer, NID_name_constraints, options->limits ? options->limits : "");
    if (!options->no_key_ids) {
        add_extension(cert, issuer, NID_subject_key_identifier, "hash");
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
    }
    if (options->names)
        add_extension(cert, issuer, NID_subject_alt_name, options->names);
    if (options->purpose != IDENTITY_ANY)
        add_extension(
            cert, issuer, NID_ext_key_usage, options->purpose == IDENTITY_FOR_SERVER ? "serverAuth" : "clientAuth");
}

static void set_times(X509 *cert, const struct identity_options *options)
{
    if (options->not_before_s == 0 && options->not_after_s == 0) {
        must(X509_gmtime_adj(X509_getm_notBefore(cert), -24L * 3600) != NULL, "notBefore");
        must(X509_gmtime_adj(X509_getm_notAfter(cert), 365L * 24 * 3600) != NULL, "notAfter");
        return;
    }
    must(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)options->not_before_s) != NULL, "notBefore");
    must(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)options->not_after_s) != NULL, "notAfter");
}

static char *take_bio(BIO *bio)
{
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    char *text = malloc((size_t)len + 1);
    must(text != NULL, "memory");
    memcpy(text, data, (size_t)len);
    text[len] = '\0';
    BIO_free(bio);
    return text;
}

static char *join(const char *a, const char *b)
{
    size_t len = strlen(a) + strlen(b) + 1;
    char *text = malloc(len);
    must(text != NULL, "memory");
    snprintf(text, len, "%s%s", a, b);
    return text;
}

/* Those of RSA need their factors for it. */
static bool can_be_written(EVP_PKEY *key)
{
    BIGNUM *factor = NULL;
    bool rsa = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
    bool whole = !rsa || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR1, &factor) == 1;
    BN_free(factor);
    return whole;
}

static void to_text(struct identity *id, const struct identity *issuer)
{
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(bio, id->certificate), "certificate to PEM");
    id->cert_pem = take_bio(bio);
    if (can_be_written(id->private_key)) {
        bio = BIO_new(BIO_s_mem());
        must(PEM_write_bio_PKCS8PrivateKey(bio, id->private_key, NULL, NULL, 0, NULL, NULL), "key to PEM");
        id->key_pem = take_bio(bio);
    }
    id->chain_pem = join(id->cert_pem, issuer ? issuer->above_pem : "");
    id->above_pem = join(issuer ? id->chain_pem : "", "");
    int len = i2d_X509(id->certificate, &id->cert_der);
    must(len, "certificate to DER");
    id->cert_der_len = (size_t)len;
}

struct identity *identity_new(const struct identity_options *options)
{
    static long serial = 1;
    struct identity *id = calloc(1, sizeof *id);
    must(id != NULL, "memory");
    EVP_PKEY *key = make_key(options);
    X509 *cert = X509_new();
    must(cert != NULL, "certificate");
    id->private_key = key;
    id->certificate = cert;
    must(X509_set_version(cert, X509_VERSION_3), "version");
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++), "serial number");
    set_times(cert, options);
    X509_NAME *name = X509_get_subject_name(cert);
    const char *cn = options->common_name ? options->common_name : "test";
    if (*cn)
        must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0), "subject");
    X509 *issuer = options->issuer ? options->issuer->certificate : cert;
    const struct identity *by = options->signer ? options->signer : options->issuer;
    EVP_PKEY *signer = by ? by->private_key : key;
    must(X509_set_issuer_name(cert, X509_get_subject_name(issuer)), "issuer");
    must(X509_set_pubkey(cert, key), "public key");
    add_extensions(cert, issuer, options);
    bool hashes = !EVP_PKEY_is_a(signer, "ED25519") && !EVP_PKEY_is_a(signer, "ED448");
    must(X509_sign(cert, signer, hashes ? EVP_sha256() : NULL), "signing");
    to_text(id, options->issuer);
    return id;
}

void identity_free(struct identity *id)
{
    if (!id)
        return;
    X509_free(id->certificate);
    EVP_PKEY_free(id->private_key);
    OPENSSL_free(id->cert_der);
    free(id->chain_pem);
    free(id->cert_pem);
    free(id->key_pem);
    free(id->above_pem);
    free(id);
}

struct identity *identity_root(enum identity_key key, const char *common_name)
{
    return identity_new(&(struct identity_options){ .key = key, .common_name = common_name, .is_ca = true });
}

struct identity *identity_leaf(const struct identity *issuer, enum identity_key key, const char *names)
{
    return identity_new(&(struct identity_options){
        .key = key, .common_name = identity_key_name(key), .names = names, .issuer = issuer });
}

const char *identity_key_name(enum identity_key key)
{
    static const char *const names[IDENTITY_KEYS] = { "p256", "p384", "p521", "rsa", "rsa-pss", "ed25519" };
    return key < IDENTITY_KEYS ? names[key] : "?";
}

char *identity_write(const char *dir, const char *name, const char *text)
{
    size_t len = strlen(dir) + strlen(name) + 2;
    char *path = malloc(len);
    must(path != NULL, "memory");
    snprintf(path, len, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    must(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "writing a file");
    close(fd);
    return path;
}
