/* SPDX-License-Identifier: Apache-2.0 */
/* The cryptodev: made if it is a virtual one, looked at, started. */
#include "device/dpdk/dpdk.h"

#include <errno.h>
#include <stdio.h>

#include <rte_dev.h>
#include <rte_errno.h>

#define SCHEDULER "crypto_scheduler"
#define ASYM_SESSIONS 256u
#define ENGINES 16u  /* that are to have room in a queue pair */
#define PLACES 4096u /* that drivers have, at least those of cards */

/* --- made and unmade -------------------------------------------------------------------------------------------- */

static bool add_vdev(struct dpdk_device *dpdk, const char *driver, const char *arguments)
{
    char *name = dpdk->vdev[dpdk->vdevs];

    snprintf(name, DPDK_NAME, "%s_m%u", driver, dpdk_eal_number());
    if (rte_eal_hotplug_add("vdev", name, arguments) != 0)
        return false;
    dpdk->vdevs++;
    return true;
}

/* What a device is described by is shorter: no word is ever cut, which would be another one then. */
#define ARGUMENTS_SIZE 256
_Static_assert(sizeof((struct milgi__spec *)0)->text + sizeof "max_nb_queue_pairs=64," < ARGUMENTS_SIZE, "args=");

/* A word's list has '+' where DPDK's has ','. */
static void put_arguments(char out[ARGUMENTS_SIZE], uint64_t queues, const char *arguments)
{
    const size_t size = ARGUMENTS_SIZE;
    size_t len = (size_t)snprintf(out, size, "max_nb_queue_pairs=%u", (unsigned)queues);

    for (; arguments && *arguments && len + 1 < size; arguments += strcspn(arguments, "+")) {
        arguments += *arguments == '+';
        len += (size_t)snprintf(out + len, size - len, ",%.*s", (int)strcspn(arguments, "+"), arguments);
    }
}

/* Its workers are cryptodevs of their own, which it takes over. */
static bool make_scheduler(struct dpdk_device *dpdk, const struct dpdk_words *words, const char **why)
{
    char own[ARGUMENTS_SIZE], text[1024];
    bool threads = strcmp(words->mode, "multi-core") == 0;

    put_arguments(own, words->queues, words->arguments);
    int len = snprintf(text, sizeof text, "%s,mode=%s", own, words->mode);
    snprintf(own, sizeof own, "max_nb_queue_pairs=%u", (unsigned)words->queues);
    for (unsigned i = 0; i < words->workers; i++) {
        if (!add_vdev(dpdk, words->worker, own)) {
            *why = "dpdk: the scheduler's worker cannot be made: DPDK has no such driver";
            return false;
        }
        len += snprintf(text + len, sizeof text - (size_t)len, ",worker=%s", dpdk->vdev[dpdk->vdevs - 1]);
    }
    if (threads) {
        dpdk->cores = dpdk_eal_cores((unsigned)words->workers);
        if (dpdk->cores == 0) {
            *why = "dpdk: EAL has not so many cores that no other scheduler has (eal=--lcores= says which there are)";
            return false;
        }
        snprintf(text + len, sizeof text - (size_t)len, ",coremask=0x%llx", (unsigned long long)dpdk->cores);
    }
    if (add_vdev(dpdk, SCHEDULER, text))
        return true;
    *why = "dpdk: the scheduler cannot be made: DPDK has none, or not with these words";
    return false;
}

static bool make_vdev(struct dpdk_device *dpdk, const struct dpdk_words *words, const char **why)
{
    char text[ARGUMENTS_SIZE];

    if (strncmp(words->vdev, SCHEDULER, strlen(SCHEDULER)) == 0)
        return make_scheduler(dpdk, words, why);
    put_arguments(text, words->queues, words->arguments);
    if (add_vdev(dpdk, words->vdev, text))
        return true;
    *why = "dpdk: no such cryptodev can be made: DPDK has no driver of this name, or it does not run here";
    return false;
}

/* --- what it has ------------------------------------------------------------------------------------------------ */

static const struct {
    uint16_t suite, key_len;
    enum rte_crypto_aead_algorithm algorithm;
} aeads[DPDK_AEADS] = {
    [DPDK_AES_128_GCM] = { MILGI_SUITE_AES_128_GCM_SHA256, 16, RTE_CRYPTO_AEAD_AES_GCM },
    [DPDK_AES_256_GCM] = { MILGI_SUITE_AES_256_GCM_SHA384, 32, RTE_CRYPTO_AEAD_AES_GCM },
    [DPDK_CHACHA20_POLY1305] = { MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32, RTE_CRYPTO_AEAD_CHACHA20_POLY1305 },
};

int dpdk_aead_of(uint16_t suite)
{
    for (int i = 0; i < DPDK_AEADS; i++) {
        if (aeads[i].suite == suite)
            return i;
    }
    return -1;
}

/* TLS has nonces of 12 bytes, tags of 16, and additional data of 5 (1.3) or 13 (1.2); others may have others. */
static bool has_aead(uint8_t id, enum dpdk_aead aead, uint16_t *aad_len)
{
    struct rte_cryptodev_sym_capability_idx index = { .type = RTE_CRYPTO_SYM_XFORM_AEAD,
        .algo.aead = aeads[aead].algorithm };
    const struct rte_cryptodev_symmetric_capability *capability = rte_cryptodev_sym_capability_get(id, &index);
    const uint16_t tls = 1u << 5 | 1u << 13;

    *aad_len = 0;
    for (uint16_t len = 0; capability && len <= DPDK_AAD_MAX; len++) {
        if (rte_cryptodev_sym_capability_check_aead(capability, aeads[aead].key_len, DPDK_TAG, len, DPDK_IV) == 0)
            *aad_len |= (uint16_t)(1u << len);
    }
    return (*aad_len & tls) == tls;
}

/* NULL: it does not sign. */
static const struct rte_cryptodev_asymmetric_xform_capability *rsa_of(uint8_t id, uint64_t features)
{
    struct rte_cryptodev_asym_capability_idx index = { .type = RTE_CRYPTO_ASYM_XFORM_RSA };
    const struct rte_cryptodev_asymmetric_xform_capability *capability;

    if ((features & RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO) == 0 || (features & RTE_CRYPTODEV_FF_RSA_PRIV_OP_KEY_QT) == 0)
        return NULL;
    capability = rte_cryptodev_asym_capability_get(id, &index);
    if (!capability || !rte_cryptodev_asym_xform_capability_check_optype(capability, RTE_CRYPTO_ASYM_OP_SIGN))
        return NULL;
    return capability;
}

static void look_for_rsa(struct dpdk_device *dpdk, uint64_t features)
{
    const struct rte_cryptodev_asymmetric_xform_capability *capability = rsa_of(dpdk->id, features);

    if (!capability)
        return;
    dpdk->rsa = true;
    dpdk->rsa_min = capability->modlen.min;
    dpdk->rsa_max = capability->modlen.max;
    dpdk->rsa_step = capability->modlen.increment;
}

/* --- which it is ------------------------------------------------------------------------------------------------ */

/* Those that devices have, by their numbers. */
static _Atomic uint64_t taken;
_Static_assert(RTE_CRYPTO_MAX_DEVS <= 64, "a bit for each");
static const char in_use[] = "dpdk: this cryptodev is another device's already, or the program's own: where a card's "
                             "function has several, name= says which";

static uint64_t bit_of(int id)
{
    return (uint64_t)1 << id;
}

/* Of several that a card's function has: best is one that nobody has, with records; then one with RSA. */
static int worth_of(uint8_t id)
{
    struct rte_cryptodev_info info;
    uint16_t unused;

    if (taken & bit_of(id))
        return 1;
    for (int i = 0; i < DPDK_AEADS; i++) {
        if (has_aead(id, (enum dpdk_aead)i, &unused))
            return 3;
    }
    rte_cryptodev_info_get(id, &info);
    return rsa_of(id, info.feature_flags) ? 2 : 0;
}

/* Names that DPDK gives what a card has begin with its address. */
static bool is_of(const char *name, const char *pci)
{
    size_t len = pci ? strlen(pci) : 0;

    return pci && strncmp(name, pci, len) == 0 && (!name[len] || name[len] == '_');
}

static int find(const struct dpdk_words *words)
{
    int found = -1, best = -1;

    for (int id = 0; id < RTE_CRYPTO_MAX_DEVS; id++) {
        const char *name = rte_cryptodev_is_valid_dev((uint8_t)id) ? rte_cryptodev_name_get((uint8_t)id) : NULL;
        if (!name)
            continue;
        if (words->name && strcmp(name, words->name) == 0)
            return id;
        int worth = !words->name && is_of(name, words->pci) ? worth_of((uint8_t)id) : -1;
        if (worth > best) {
            best = worth;
            found = id;
        }
    }
    return found;
}

int dpdk_cryptodev_open(struct dpdk_device *dpdk, const struct dpdk_words *words, const char **why)
{
    if (words->vdev && !make_vdev(dpdk, words, why))
        return MILGI_EUNSUPPORTED;
    int id = words->vdev ? rte_cryptodev_get_dev_id(dpdk->vdev[dpdk->vdevs - 1]) : find(words);
    if (id < 0 && words->pci && rte_eal_hotplug_add("pci", words->pci, "") == 0) /* EAL began with another one */
        id = find(words);
    if (id < 0) {
        *why = "dpdk: EAL has found no such cryptodev";
        return MILGI_EUNSUPPORTED;
    }
    if (atomic_fetch_or(&taken, bit_of(id)) & bit_of(id)) {
        *why = in_use;
        return MILGI_EUNSUPPORTED;
    }
    dpdk->id = (uint8_t)id;
    dpdk->taken = true;
    dpdk->socket = rte_cryptodev_socket_id(dpdk->id);
    return 0;
}

void dpdk_cryptodev_close(struct dpdk_device *dpdk)
{
    if (dpdk->started) {
        rte_cryptodev_stop(dpdk->id);
        dpdk->started = false;
    }
    if (dpdk->taken)
        atomic_fetch_and(&taken, ~bit_of(dpdk->id));
    dpdk->taken = false;
    while (dpdk->vdevs > 0)
        (void)rte_eal_hotplug_remove("vdev", dpdk->vdev[--dpdk->vdevs]);
    dpdk_eal_cores_free(dpdk->cores);
    dpdk->cores = 0;
}

/* --- what it is ------------------------------------------------------------------------------------------------- */

/* Drivers that are none of hardware work in the calls of whoever has the queue pair, but for a scheduler with cores. */
static bool works_apart(const struct dpdk_device *dpdk, const struct rte_cryptodev_info *info)
{
    return (info->feature_flags & RTE_CRYPTODEV_FF_HW_ACCELERATED) != 0 || dpdk->cores != 0;
}

int dpdk_cryptodev_look(struct dpdk_device *dpdk, const char **why)
{
    struct rte_cryptodev_info info;
    const uint64_t oop = RTE_CRYPTODEV_FF_OOP_LB_IN_LB_OUT, chains = RTE_CRYPTODEV_FF_OOP_SGL_IN_LB_OUT;
    bool some = false;

    rte_cryptodev_info_get(dpdk->id, &info);
    for (int i = 0; i < DPDK_AEADS; i++) {
        dpdk->aead[i] = has_aead(dpdk->id, (enum dpdk_aead)i, &dpdk->aad_len[i]);
        some |= dpdk->aead[i];
    }
    look_for_rsa(dpdk, info.feature_flags);
    if (!some && !dpdk->rsa) {
        *why = "dpdk: this cryptodev has neither AES-GCM nor ChaCha20-Poly1305 as TLS uses them, nor RSA";
        return MILGI_EUNSUPPORTED;
    }
    bool hardware = (info.feature_flags & RTE_CRYPTODEV_FF_HW_ACCELERATED) != 0;
    if (hardware && rte_eal_iova_mode() != RTE_IOVA_VA) {
        *why = "dpdk: hardware has to see the process's own addresses (eal=--iova-mode=va, behind an IOMMU)";
        return MILGI_EUNSUPPORTED;
    }
    dpdk->reaches_all = !hardware;
    dpdk->caller = !works_apart(dpdk, &info);
    dpdk->headroom = info.min_mbuf_headroom_req;
    dpdk->tailroom = info.min_mbuf_tailroom_req;
    dpdk->scattered = (info.feature_flags & oop) && (info.feature_flags & chains);
    dpdk->copies |= !dpdk->scattered || dpdk->headroom || dpdk->tailroom;
    if (info.max_nb_queue_pairs > 0)
        dpdk->queues = MILGI__MIN(dpdk->queues, info.max_nb_queue_pairs);
    if (dpdk->cores != 0)
        dpdk->queues = 1; /* a scheduler with cores mixes up what is in its queue pairs */
    return 0;
}

/* --- started ---------------------------------------------------------------------------------------------------- */

/* A scheduler has sessions of its workers' in the same pool. */
struct rte_mempool *dpdk_session_pool(const struct dpdk_device *dpdk)
{
    char name[RTE_MEMPOOL_NAMESIZE];
    unsigned size = 0, n = dpdk->sessions_max * (dpdk->vdevs > 1 ? 1 + dpdk->vdevs : 1);

    for (int id = 0; id < RTE_CRYPTO_MAX_DEVS; id++) {
        if (rte_cryptodev_is_valid_dev((uint8_t)id))
            size = MILGI__MAX(size, rte_cryptodev_sym_get_private_session_size((uint8_t)id));
    }
    snprintf(name, sizeof name, "milgi%u-sym", dpdk_eal_number());
    return rte_cryptodev_sym_session_pool_create(name, n, size, 0, 0, dpdk->socket);
}

static bool make_asym_pool(struct dpdk_device *dpdk)
{
    char name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof name, "milgi%u-asym", dpdk_eal_number());
    dpdk->asym_sessions = rte_cryptodev_asym_session_pool_create(name, ASYM_SESSIONS, 0, 0, dpdk->socket);
    return dpdk->asym_sessions != NULL;
}

int dpdk_cryptodev_start(struct dpdk_device *dpdk, const char **why)
{
    struct rte_cryptodev_config config = { .socket_id = dpdk->socket, .nb_queue_pairs = (uint16_t)dpdk->queues };
    /*
     * A cryptodev's queue is never full, whichever engines share it: each may fill its own depth, and a scheduler's
     * core does not bear it that a worker refuses. One place of a ring stays empty.
     */
    unsigned places = MILGI__MAX(MILGI__MIN(dpdk->depth * ENGINES, PLACES), 2 * dpdk->depth);
    struct rte_cryptodev_qp_conf qp = { .nb_descriptors = rte_align32pow2(places) };

    dpdk->share = (qp.nb_descriptors - 1) / dpdk->depth;
    if (dpdk->rsa && !make_asym_pool(dpdk)) {
        *why = "dpdk: not enough memory for sessions (memory= of the process's first device says how much there is)";
        return MILGI_ENOMEM;
    }
    int answer = rte_cryptodev_configure(dpdk->id, &config);
    if (answer == -EBUSY) { /* it runs */
        *why = in_use;
        return MILGI_EUNSUPPORTED;
    }
    for (unsigned i = 0; answer == 0 && i < dpdk->queues; i++)
        answer = rte_cryptodev_queue_pair_setup(dpdk->id, (uint16_t)i, &qp, dpdk->socket);
    if (answer == 0)
        answer = rte_cryptodev_start(dpdk->id);
    if (answer != 0) {
        *why = "dpdk: the cryptodev does not start with so many queue pairs of this depth";
        return MILGI_EUNSUPPORTED;
    }
    dpdk->started = true;
    return 0;
}
