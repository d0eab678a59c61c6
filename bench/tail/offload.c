/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine of OpenSSL's does for a device: an RSA_METHOD that hands the operation over, pauses the fiber which it
 * runs in, and is resumed when somebody calls libssl again. The device is a thread.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <stdlib.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/eventfd.h>

#include "tail.h"

typedef int private_op(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding);

/* On the fiber's stack, which stays as it is while the fiber is paused. */
struct job {
    struct job *next;
    const unsigned char *from;
    unsigned char *to;
    RSA *rsa;
    int len, padding, result;
    int fd; /* or: */
    ASYNC_callback_fn told;
    void *told_arg;
    atomic_bool done;
};

struct offload {
    RSA_METHOD *method;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct job *first, **end;
    bool by_callback, stopping;
};

EVP_PKEY *bench_key(const struct bench_cert *cert)
{
    BIO *in = BIO_new_mem_buf(cert->key_pem, (int)cert->key_len);
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;

    if (!key)
        bench_die("libcrypto: cannot read the key");
    BIO_free(in);
    return key;
}

static private_op *in_software(void)
{
    return RSA_meth_get_priv_enc(RSA_PKCS1_OpenSSL());
}

/* --- the worker ------------------------------------------------------------------------------------------------- */

static void tell(int fd, ASYNC_callback_fn told, void *told_arg)
{
    static const uint64_t one = 1;

    if (told)
        (void)told(told_arg);
    else if (write(fd, &one, sizeof one) != (ssize_t)sizeof one)
        bench_die("cannot write to an eventfd");
}

static void *worker(void *arg)
{
    struct offload *offload = arg;

    pthread_mutex_lock(&offload->lock);
    for (;;) {
        struct job *job = offload->first;
        if (!job && offload->stopping)
            break;
        if (!job) {
            pthread_cond_wait(&offload->some, &offload->lock);
            continue;
        }
        offload->first = job->next;
        if (!offload->first)
            offload->end = &offload->first;
        pthread_mutex_unlock(&offload->lock);
        job->result = in_software()(job->len, job->from, job->to, job->rsa, job->padding);
        /* Once it is done its fiber may go on, and the job be gone. */
        int fd = job->fd;
        ASYNC_callback_fn told = job->told;
        void *told_arg = job->told_arg;
        atomic_store(&job->done, true);
        tell(fd, told, told_arg);
        pthread_mutex_lock(&offload->lock);
    }
    pthread_mutex_unlock(&offload->lock);
    return NULL;
}

/* --- the method ------------------------------------------------------------------------------------------------- */

static void close_fd(ASYNC_WAIT_CTX *wait, const void *key, OSSL_ASYNC_FD fd, void *custom)
{
    (void)wait;
    (void)key;
    (void)custom;
    close(fd);
}

/* The descriptor that a connection keeps for it. */
static int wait_fd(struct offload *offload, ASYNC_WAIT_CTX *wait)
{
    OSSL_ASYNC_FD fd;
    void *custom;

    if (ASYNC_WAIT_CTX_get_fd(wait, offload, &fd, &custom) == 1)
        return fd;
    fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0 || ASYNC_WAIT_CTX_set_wait_fd(wait, offload, fd, NULL, close_fd) != 1)
        bench_die("no descriptor for a fiber");
    return fd;
}

static void submit(struct offload *offload, struct job *job)
{
    pthread_mutex_lock(&offload->lock);
    *offload->end = job;
    offload->end = &job->next;
    pthread_cond_signal(&offload->some);
    pthread_mutex_unlock(&offload->lock);
}

static int hand_over(int len, const unsigned char *from, unsigned char *to, RSA *rsa, int padding)
{
    ASYNC_JOB *fiber = ASYNC_get_current_job();
    struct offload *offload = RSA_meth_get0_app_data(RSA_get_method(rsa));
    struct job job = { .from = from, .to = to, .rsa = rsa, .len = len, .padding = padding, .fd = -1 };
    uint64_t count;

    if (!fiber)
        return in_software()(len, from, to, rsa, padding);
    ASYNC_WAIT_CTX *wait = ASYNC_get_wait_ctx(fiber);
    if (!offload->by_callback)
        job.fd = wait_fd(offload, wait);
    else if (ASYNC_WAIT_CTX_get_callback(wait, &job.told, &job.told_arg) != 1 || !job.told)
        bench_die("a fiber without a callback");
    submit(offload, &job);
    while (!atomic_load(&job.done))
        ASYNC_pause_job();
    if (job.fd >= 0 && read(job.fd, &count, sizeof count) != (ssize_t)sizeof count)
        bench_die("a fiber was resumed before it was told");
    return job.result;
}

struct offload *offload_new(const struct place *place, bool by_callback)
{
    struct offload *offload = calloc(1, sizeof *offload);

    if (!offload)
        bench_die("out of memory");
    offload->by_callback = by_callback;
    offload->end = &offload->first;
    pthread_mutex_init(&offload->lock, NULL);
    pthread_cond_init(&offload->some, NULL);
    offload->method = RSA_meth_dup(RSA_PKCS1_OpenSSL());
    if (!offload->method || RSA_meth_set0_app_data(offload->method, offload) != 1 ||
        RSA_meth_set_priv_enc(offload->method, hand_over) != 1)
        bench_die("libcrypto: no method");
    offload->thread = bench_thread(place->other, BENCH_LAST, worker, offload);
    return offload;
}

EVP_PKEY *offload_key(struct offload *offload, const struct bench_cert *cert)
{
    EVP_PKEY *plain = bench_key(cert);
    EVP_PKEY *key = EVP_PKEY_new();
    RSA *rsa = EVP_PKEY_get1_RSA(plain);

    if (!key || !rsa || RSA_set_method(rsa, offload->method) != 1 || EVP_PKEY_assign_RSA(key, rsa) != 1)
        bench_die("libcrypto: no key");
    EVP_PKEY_free(plain);
    return key;
}

void offload_free(struct offload *offload)
{
    if (!offload)
        return;
    pthread_mutex_lock(&offload->lock);
    offload->stopping = true;
    pthread_cond_signal(&offload->some);
    pthread_mutex_unlock(&offload->lock);
    pthread_join(offload->thread, NULL);
    RSA_meth_free(offload->method);
    free(offload);
}
