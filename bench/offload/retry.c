/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The retry design of BoringSSL and AWS-LC, with AWS-LC's libssl: sign() begins a signature and the handshake returns;
 * when the signature is back the handshake is called again and asks for it. AWS-LC comes as a shared library of its
 * own (bench/offload/retry), so that its symbols and OpenSSL's do not meet.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "offload.h"

#define LIBRARY "retry/release/libmilgi_bench_retry.so" /* beside the program, where scripts/bench has it built */

struct signer {
    void (*begin)(void *arg, const uint8_t *input, size_t len);
    ssize_t (*fetch)(void *arg, uint8_t *out, size_t room);
};
static struct {
    void *handle;
    void *(*context_new)(struct signer signer, const uint8_t *der, size_t der_len);
    void (*context_free)(void *ctx);
    void *(*open)(void *ctx, int fd, void *arg);
    int (*shake)(void *ssl);
    void (*close)(void *ssl);
    void (*primitive)(int which, uint8_t *public, uint8_t *private);
    const char *(*version)(void);
} lib;

static void find(void *function, const char *name)
{
    void *at = dlsym(lib.handle, name);

    if (!at)
        bench_die("%s is not in %s", name, LIBRARY);
    memcpy(function, &at, sizeof at);
}

static void load(void)
{
    char path[4096];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - sizeof LIBRARY);

    if (len < 0)
        return;
    path[len] = 0;
    strcpy(strrchr(path, '/') + 1, LIBRARY);
    lib.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib.handle)
        return;
    find(&lib.context_new, "retry_context_new");
    find(&lib.context_free, "retry_context_free");
    find(&lib.open, "retry_open");
    find(&lib.shake, "retry_shake");
    find(&lib.close, "retry_close");
    find(&lib.primitive, "retry_primitive");
    find(&lib.version, "retry_version");
}

const char *retry_library(void)
{
    if (!lib.handle)
        load();
    return lib.handle ? lib.version() : NULL;
}

void retry_primitive(enum primitive primitive, uint8_t public[32], uint8_t private[32])
{
    lib.primitive(primitive == PRIMITIVE_KEYGEN_AWS_LC ? 0 : 1, public, private);
}

/* --- the library's side ----------------------------------------------------------------------------------------- */

static void told_slot(struct signing *signing)
{
    loop_ready(signing->arg);
}

static void begin(void *arg, const uint8_t *input, size_t len)
{
    struct slot *slot = arg;

    slot->sign = malloc(sizeof *slot->sign);
    if (!slot->sign)
        bench_die("out of memory");
    slot->sign->told = told_slot;
    slot->sign->arg = slot;
    lane_sign(&slot->loop->lane, slot->sign, input, len);
}

static ssize_t fetch(void *arg, uint8_t *out, size_t room)
{
    struct slot *slot = arg;
    struct signing *signing = slot->sign;

    if (!signing->done)
        return 0;
    ssize_t len = signing->op.status == MILGI_OP_OK ? signing->op.u.sign.sig_len : -1;
    if (len > 0 && (size_t)len <= room)
        memcpy(out, signing->op.u.sign.sig, (size_t)len);
    free(signing);
    slot->sign = NULL;
    return (size_t)len <= room ? len : -1;
}

/* --- the loop's ------------------------------------------------------------------------------------------------- */

static void *open_ssl(struct slot *slot)
{
    void *ssl = lib.open(slot->loop->ctx, slot->fd, slot);

    if (!ssl)
        bench_die("AWS-LC: no connection");
    return ssl;
}

static enum shaken shake(struct slot *slot)
{
    static const enum shaken meaning[] = { SHAKEN_DONE, SHAKEN_READ, SHAKEN_PARKED, SHAKEN_FAILED };

    return meaning[lib.shake(slot->ssl)];
}

static void close_ssl(struct slot *slot)
{
    lib.close(slot->ssl);
    free(slot->sign);
    slot->sign = NULL;
}

static void *context(const struct bench_cert *cert)
{
    BIO *in = BIO_new_mem_buf(cert->cert_pem, (int)cert->cert_len);
    X509 *x509 = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    uint8_t *der = NULL;
    int len = x509 ? i2d_X509(x509, &der) : -1;

    if (len <= 0)
        bench_die("libcrypto: cannot read the certificate");
    void *ctx = lib.context_new((struct signer){ begin, fetch }, der, (size_t)len);
    if (!ctx)
        bench_die("AWS-LC: cannot set up");
    OPENSSL_free(der);
    X509_free(x509);
    BIO_free(in);
    return ctx;
}

static void serve(struct scene *scene)
{
    static const struct library library = { open_ssl, shake, NULL, close_ssl };
    struct loop loop = { .epoll = -1 };

    if (!retry_library())
        bench_die("%s is not there", LIBRARY);
    lane_open(&loop.lane, scene);
    void *ctx = context(scene->cert);
    loop_run(&loop, &library, scene, ctx);
    lib.context_free(ctx);
    lane_close(&loop.lane);
}

const struct design design_retry = {
    .name = "retry",
    .title = "AWS-LC, retry",
    .keygen = PRIMITIVE_KEYGEN_AWS_LC,
    .fds = 1,
    .serve = serve,
};
