/* SPDX-License-Identifier: Apache-2.0 */
/* Trust: a list of anchors, and of CRLs. */
#include "cert/cert.h"

#include "base/port.h"
#include "crypto/cert_list.h"

#define CRLS_MAX 4096
#define CRLS_LEN_MAX ((size_t)64 << 20)

static void destroy(struct milgi_trust *trust)
{
    milgi__free(trust->anchors);
    milgi__free(trust->crls);
    milgi__free(trust->crls_until_s);
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

/* In the place of those that there were. 0 or MILGI_ENOMEM. */
static int take(struct milgi_trust *trust, const struct milgi__cert_list *list)
{
    struct milgi__cert_walk walk = { .p = list->data, .left = list->len };
    int64_t *until_s = milgi__alloc_raw(list->n * sizeof *until_s);

    if (!until_s)
        return MILGI_ENOMEM;
    for (unsigned i = 0; milgi__cert_walk_next(&walk); i++)
        until_s[i] = milgi__crl_until(walk.der, walk.der_len);
    milgi__free(trust->crls);
    milgi__free(trust->crls_until_s);
    trust->crls = list->data;
    trust->crls_len = list->len;
    trust->crls_n = list->n;
    trust->crls_until_s = until_s;
    if (trust->crl_check == MILGI_CRL_CHECK_NONE)
        trust->crl_check = MILGI_CRL_CHECK_ALL;
    return 0;
}

int64_t milgi__trust_good_until(const struct milgi_trust *trust, int64_t now_s)
{
    int64_t until_s = INT64_MAX;

    for (unsigned i = 0; i < trust->crls_n && trust->crl_check != MILGI_CRL_CHECK_NONE; i++) {
        if (trust->crls_until_s[i] >= now_s)
            until_s = MILGI__MIN(until_s, trust->crls_until_s[i]);
    }
    return until_s;
}

/* Behind those that there are; if one is wrong, none of them. */
static int add_crls(struct milgi_trust *trust, const void *pem, size_t len, struct milgi_problem *problem)
{
    struct milgi__cert_list list = { .data = NULL };
    struct milgi__pem_fault fault;
    struct milgi__cert_walk walk = { .p = trust ? trust->crls : NULL, .left = trust ? trust->crls_len : 0 };

    int error = milgi__pem_lines(problem, MILGI_FILE_CRLS, &pem, &len);
    if (error != 0)
        return error;
    while (error == 0 && milgi__cert_walk_next(&walk))
        error = milgi__cert_list_add(&list, walk.der, walk.der_len);
    if (error == 0) {
        error = milgi__cert_list_add_crls(&list, pem, len, &fault);
        if (error != 0 && error != MILGI_ENOMEM)
            (void)milgi__problem_of_pem(problem, error, MILGI_FILE_CRLS, &fault, pem, len);
    }
    if (error == 0 && (list.len > CRLS_LEN_MAX || list.n > CRLS_MAX))
        error = milgi__problem(problem, MILGI_ELIMIT, MILGI_PROBLEM_OTHER, MILGI_FILE_CRLS);
    if (error == 0 && trust)
        error = take(trust, &list);
    if (error == MILGI_ENOMEM)
        (void)milgi__problem(problem, error, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    if (error != 0 || !trust)
        milgi__cert_list_clear(&list);
    return error;
}

int milgi_trust_add_crls_pem(
    struct milgi_trust *trust, const void *pem, size_t pem_len, struct milgi_problem *problem)
{
    if (!pem || (trust && atomic_load(&trust->given)))
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    return add_crls(trust, pem, pem_len, problem);
}

int milgi_trust_add_crls_file(struct milgi_trust *trust, const char *file, struct milgi_problem *problem)
{
    size_t len;

    if (!file || (trust && atomic_load(&trust->given)))
        return milgi__problem(problem, MILGI_EINVAL, MILGI_PROBLEM_OTHER, MILGI_FILE_NONE);
    uint8_t *pem = milgi__port_read_file(file, &len);
    if (!pem)
        return milgi__problem(problem, MILGI_EFILE, MILGI_PROBLEM_UNREADABLE, MILGI_FILE_CRLS);
    int error = add_crls(trust, pem, len, problem);
    milgi__free(pem);
    return error;
}

int milgi_trust_set_crl_check(struct milgi_trust *trust, enum milgi_crl_check check)
{
    if (!trust || (unsigned)check > MILGI_CRL_CHECK_ALL || atomic_load(&trust->given))
        return MILGI_EINVAL;
    trust->crl_check = (uint8_t)check;
    return 0;
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
