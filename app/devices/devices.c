/* SPDX-License-Identifier: Apache-2.0 */
/* `milgi devices`: what is built in, whether it works, and how fast. */
#include "commands.h"
#include "common/say.h"
#include "bench.h"

#include <string.h>

#define MEASURE_MS 300

static const struct {
    uint32_t bit;
    const char *word;
} flags[] = {
    { MILGI_CAP_INLINE, "inline" },
    { MILGI_CAP_IN_ORDER, "in order" },
    { MILGI_CAP_IN_PLACE, "in place" },
    { MILGI_CAP_SCATTER, "scatter" },
    { MILGI_CAP_CANCEL, "cancel" },
    { MILGI_CAP_REMOTE, "remote" },
    { MILGI_CAP_OWN_MEMORY, "own memory" },
    { MILGI_CAP_LIBCRYPTO, "libcrypto" },
    { MILGI_CAP_KEY_LOAD, "loads keys" },
    { MILGI_CAP_CALLER, "on the loop's thread" },
    { MILGI_CAP_TESTED, "tested here" },
    { MILGI_CAP_HASHED, "signs hashes" },
    { MILGI_CAP_TOGETHER, "cheaper together" },
    { MILGI_CAP_VERIFIES, "verifies its RSA" },
};

static const struct {
    const char *name, *purpose;
} purposes[] = {
    { "cpu", "everything at once, on the loop's own thread; always there" },
    { "pool", "threads for what would keep the loop from other connections: RSA, crowds of handshakes, large records" },
    { "batch", "like operations of many connections side by side in the processor's vector registers" },
    { "afalg", "records by the kernel's ciphers (AF_ALG), for a processor that only the kernel has a driver for" },
    { "pkcs11", "private keys that stay in a token or HSM; named by --key pkcs11:..." },
    { "dpdk", "cryptodevs of DPDK: cards, or software drivers; in a module of its own" },
    { "sim", "a modelled accelerator, to try what a card would change" },
    { "chaos", "delays, reorders, refuses and fails, to test what is built on top" },
};

static void show_purpose(const char *name)
{
    for (size_t i = 0; i < sizeof purposes / sizeof purposes[0]; i++)
        if (!strcmp(name, purposes[i].name))
            printf("  what for      %s\n", purposes[i].purpose);
}

static void show_caps(const struct milgi_device_caps *caps)
{
    const char *between = "";
    printf("  operations   ");
    for (int type = 0; type < MILGI_OP_TYPES; type++)
        if (caps->ops & MILGI_OP_BIT(type))
            printf(" %s", milgi_op_type_name(type));
    printf("\n  capabilities  ");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (caps->flags & flags[i].bit) {
            printf("%s%s", between, flags[i].word);
            between = ", ";
        }
    printf("\n  at once       %u, up to %u in flight, best in batches of %u\n", caps->parallelism, caps->max_in_flight,
        caps->best_batch);
    if (caps->min_record == UINT32_MAX)
        printf("  records       only when asked for\n");
    else
        printf("  records       from %u bytes on\n", caps->min_record);
}

static const char *const verdicts[] = {
    [BENCH_OK] = "ok",
    [BENCH_SKIPPED] = "not taken",
    [BENCH_WRONG] = "WRONG RESULT",
    [BENCH_BROKEN] = "failed",
    [BENCH_LOST] = "no answer",
};

/* True unless the result was wrong: a device that fails by design, as chaos does, is no worse for it. */
static bool show_verdict(const char *between, const char *what, enum bench_verdict verdict)
{
    printf("%s%s %s", between, what, verdicts[verdict]);
    return verdict != BENCH_WRONG;
}

struct verdicts {
    bool right;
    enum bench_verdict aead, sign; /* of what is measured */
};

/* Whether the libcrypto has it: else no device is asked. */
static bool has_mlkem(void)
{
    static const uint16_t hybrid = MILGI_GROUP_X25519MLKEM768;
    struct milgi_config *config = milgi_config_new(MILGI_CLIENT);
    bool has = config && milgi_config_set_groups(config, &hybrid, 1) == 0;
    milgi_config_unref(config);
    return has;
}

static struct verdicts show_tests(struct bench *b)
{
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
        MILGI_SUITE_CHACHA20_POLY1305_SHA256 };
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
        MILGI_GROUP_SECP521R1 };
    struct verdicts v = { .right = true };
    printf("  self-test     ");
    for (int i = 0; i < 3; i++) {
        enum bench_verdict verdict = bench_test_aead(b, suites[i]);
        v.right &= show_verdict(i ? ", " : "", milgi_suite_name(suites[i]), verdict);
        v.aead = i ? v.aead : verdict;
    }
    printf("\n                ");
    for (int i = 0; i < 4; i++)
        v.right &= show_verdict(i ? ", " : "", milgi_group_name(groups[i]), bench_test_group(b, groups[i]));
    if (has_mlkem())
        v.right &= show_verdict(", ", "ML-KEM-768", bench_test_kem(b, MILGI_GROUP_MLKEM768));
    v.sign = bench_test_sign(b);
    v.right &= show_verdict(", ", "signatures", v.sign);
    printf("\n");
    return v;
}

/* A rate is of something that was tried and came back. */
static void show_speed(struct bench *b, const struct verdicts *v)
{
    double sign = v->sign == BENCH_SKIPPED ? 0 : bench_sign(b, MEASURE_MS);
    double seal = v->aead == BENCH_SKIPPED ? 0 : bench_seal(b, MILGI_SUITE_AES_128_GCM_SHA256, 16384, MEASURE_MS);
    printf("  speed         ");
    if (sign > 0)
        printf("%.0f ECDSA P-256 signatures/s", sign);
    if (seal > 0)
        printf("%s%.0f records/s of 16 KiB (AES-128-GCM, %.2f GB/s)", sign > 0 ? ", " : "", seal, seal * 16384 / 1e9);
    if (v->sign == BENCH_SKIPPED && v->aead == BENCH_SKIPPED)
        printf("not measured: it takes neither records nor keys of ours");
    else if (!(sign > 0) && !(seal > 0))
        printf("nothing came back");
    printf("\n");
    if (b->abandoned_n)
        printf("  not returned  %u operations\n", b->abandoned_n);
}

/* |asked|: by name. Else it is one of all that are built in, and need not run here. */
static int show(const char *spec, bool asked)
{
    struct bench b;
    const char *why = NULL;
    int rv = bench_open(&b, spec, &why);
    bool right = true;
    if ((rv == MILGI_EUNSUPPORTED || rv == MILGI_EINVAL) && !asked) {
        printf("%s\n", spec);
        show_purpose(spec);
        printf("  %s%s\n", rv == MILGI_EINVAL ? "name one      " : "not here      ", why);
        rv = 0;
    } else if (rv) {
        app_complain("%s: %s", spec, why ? why : milgi_error_text(rv));
    } else {
        printf("%s\n", b.device->spec[0] ? b.device->spec : spec);
        show_purpose(b.device->ops->name);
        show_caps(&b.device->caps);
        if (b.device->note)
            printf("  note          %s\n", b.device->note);
        struct verdicts found = show_tests(&b);
        right = found.right;
        show_speed(&b, &found);
        int code = bench_test_module(&b);
        if (code)
            app_complain("%s: %s", spec, milgi_device_code_text(code));
        right &= !code;
    }
    bench_close(&b);
    if (rv)
        return rv == MILGI_EINVAL || rv == MILGI_EUNSUPPORTED ? APP_USAGE : APP_FAILED;
    return right ? APP_OK : APP_FAILED;
}

static int worse(int one, int other)
{
    return one > other ? one : other;
}

int app_devices(const struct app_options *options)
{
    int worst = APP_OK;
    const char *const *names = milgi_device_names(), *const *modules = milgi_device_module_names();
    for (size_t i = 0; i < options->rest.n; i++)
        worst = worse(worst, show(options->rest.items[i], true));
    for (size_t i = 0; !options->rest.n && names[i]; i++)
        worst = worse(worst, show(names[i], false));
    for (size_t i = 0; !options->rest.n && modules[i]; i++)
        worst = worse(worst, show(modules[i], false));
    return worst;
}
