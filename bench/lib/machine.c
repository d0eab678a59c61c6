/* SPDX-License-Identifier: Apache-2.0 */
/* What machine and which versions the figures are from. */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <milgi/milgi.h>
#include <openssl/crypto.h>

#include "bench.h"

struct facts {
    char model[128], flags[128], system[160], date[32], milgi[32];
    double load;
    long cpus;
};

/* The value of a line "name : value" of /proc/cpuinfo, the first of that name. */
static void cpuinfo(const char *name, char *out, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    static char line[8192];

    out[0] = 0;
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, name, strlen(name)) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(out, size, "%s", colon + 1 + (colon[1] == ' '));
        break;
    }
    if (file)
        fclose(file);
}

static void crypto_flags(char *out, size_t size)
{
    static const char *const wanted[] = { "aes", "vaes", "pclmulqdq", "vpclmulqdq", "sha_ni", "avx2", "avx512f", "adx",
        "hypervisor" };
    static char all[8192];
    static char found[8200];

    cpuinfo("flags", all, sizeof all);
    snprintf(found, sizeof found, " %s ", all);
    out[0] = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", wanted[i]);
        if (!strstr(found, word) || strlen(out) + strlen(word) >= size)
            continue;
        strcat(out, out[0] ? word : word + 1);
        out[strlen(out) - 1] = 0;
    }
}

static struct facts gather(void)
{
    struct facts f = { .cpus = sysconf(_SC_NPROCESSORS_ONLN) };
    struct utsname u;
    time_t now = time(NULL);
    struct tm tm;

    cpuinfo("model name", f.model, sizeof f.model);
    crypto_flags(f.flags, sizeof f.flags);
    if (uname(&u) == 0)
        snprintf(f.system, sizeof f.system, "%.40s %.60s %.40s", u.sysname, u.release, u.machine);
    if (gmtime_r(&now, &tm))
        strftime(f.date, sizeof f.date, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (getloadavg(&f.load, 1) != 1)
        f.load = -1;
    snprintf(f.milgi, sizeof f.milgi, "%d.%d.%d", MILGI_VERSION_MAJOR, MILGI_VERSION_MINOR, MILGI_VERSION_PATCH);
    return f;
}

void bench_machine_json(struct bench_json *json, int cpu)
{
    struct facts f = gather();

    bench_json_open(json, "machine", '{');
    bench_json_text(json, "date", f.date);
    bench_json_text(json, "processor", f.model);
    bench_json_text(json, "processor_flags", f.flags);
    bench_json_number(json, "processors", (double)f.cpus);
    bench_json_number(json, "pinned_to", cpu);
    bench_json_text(json, "system", f.system);
    bench_json_number(json, "load", f.load);
    bench_json_text(json, "compiler", __VERSION__);
    bench_json_text(json, "openssl", OpenSSL_version(OPENSSL_VERSION));
    bench_json_text(json, "milgi", f.milgi);
    bench_json_text(json, "milgi_on", MILGI_CRYPTO_NAME);
    bench_json_close(json, '}');
}

void bench_machine_print(FILE *out, int cpu)
{
    struct facts f = gather();

    fprintf(out, "%s; %s (%s), %ld CPUs, pinned to %d, load %.1f\n", f.date, f.model, f.flags, f.cpus, cpu, f.load);
    fprintf(out, "%s; gcc %s; %s; milgi %s on %s\n", f.system, __VERSION__, OpenSSL_version(OPENSSL_VERSION), f.milgi,
        MILGI_CRYPTO_NAME);
}
