/* SPDX-License-Identifier: Apache-2.0 */
/* Trust: a list of anchors. */
#include "cert/cert.h"

#include "base/port.h"
#include "crypto/cert_list.h"

static void destroy(struct milgi_trust *trust)
{
    milgi__free(trust->anchors);
    milgi__free(trust);
}

/* Takes |anchors|. */
static int trust_new(uint8_t *anchors, size_t len, struct milgi_trust **trust)
{
    *trust = milgi__alloc(sizeof **trust);
    if (!*trust) {
        milgi__free(anchors);
        return MILGI_ENOMEM;
    }
    atomic_init(&(*trust)->refs, 1);
    (*trust)->destroy = destroy;
    (*trust)->serial = milgi__key_serial();
    (*trust)->anchors = anchors;
    (*trust)->anchors_len = len;
    return 0;
}

int milgi_trust_new_system(struct milgi_trust **trust)
{
    uint8_t *anchors;
    size_t len;

    if (!trust)
        return MILGI_EINVAL;
    *trust = NULL;
    int error = milgi__system_anchors(&anchors, &len);
    return error != 0 ? error : trust_new(anchors, len, trust);
}

int milgi_trust_load_pem(
    const void *pem, size_t pem_len, struct milgi_trust **trust, struct milgi_problem *problem)
{
    struct milgi__cert_list list = { .data = NULL };
    struct milgi__pem_fault fault;

    if (!trust)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    *trust = NULL;
    int error = milgi__pem_lines(problem, MILGI_FILE_CHAIN, &pem, &pem_len);
    if (error != 0)
        return error;
    error = milgi__cert_list_add_pem(&list, pem, pem_len, &fault);
    if (error != 0) {
        milgi__cert_list_clear(&list);
        return milgi__problem_of_pem(problem, error, MILGI_FILE_CHAIN, &fault, pem, pem_len);
    }
    error = trust_new(list.data, list.len, trust);
    return error == 0 ? 0 : milgi__problem(problem, error, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
}

int milgi_trust_new_pem(const void *pem, size_t pem_len, struct milgi_trust **trust)
{
    return milgi_trust_load_pem(pem, pem_len, trust, NULL);
}

int milgi_trust_load(const char *file, struct milgi_trust **trust, struct milgi_problem *problem)
{
    if (!file || !trust)
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    size_t len;
    uint8_t *pem = milgi__port_read_file(file, &len);
    *trust = NULL;
    if (!pem)
        return milgi__problem(problem, MILGI_EFILE, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_CHAIN);
    int error = milgi_trust_load_pem(pem, len, trust, problem);
    milgi__free_wiped(pem, len);
    return error;
}

int milgi_trust_new_file(const char *file, struct milgi_trust **trust)
{
    return milgi_trust_load(file, trust, NULL);
}

struct milgi_trust *milgi_trust_ref(struct milgi_trust *trust)
{
    atomic_fetch_add_explicit(&trust->refs, 1, memory_order_relaxed);
    return trust;
}

void milgi_trust_unref(struct milgi_trust *trust)
{
    if (trust)
        milgi__trust_unref(trust);
}
