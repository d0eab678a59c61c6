/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of one process, and of several together. */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "proxy.h"

struct report *report_new(void)
{
    void *memory =
        mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void report_free(struct report *report)
{
    if (report)
        munmap(report, sizeof *report);
}

void report_fill(struct report *r, const struct proxy *p)
{
    struct milgi_engine *engine = app_tls_engine(&p->tls);
    struct milgi_engine_stats s;
    milgi_engine_stats(engine, &s);
    r->counts = p->counts;
    r->connections = p->clients_n;
    r->memory = s.memory;
    r->sealed = s.bytes_sealed;
    r->opened = s.bytes_opened;
    milgi_engine_dump(engine, r->text, sizeof r->text);
}

static void add(struct report *sum, const struct report *r)
{
    sum->counts.accepted += r->counts.accepted;
    sum->counts.established += r->counts.established;
    sum->counts.failed += r->counts.failed;
    sum->counts.probes += r->counts.probes;
    sum->counts.in_order += r->counts.in_order;
    for (unsigned i = 0; i < 2; i++) {
        sum->counts.kernel[i] += r->counts.kernel[i];
        sum->counts.spliced[i] += r->counts.spliced[i];
    }
    sum->connections += r->connections;
    sum->memory += r->memory;
    sum->sealed += r->sealed;
    sum->opened += r->opened;
}

static void put_counts(FILE *out, const char *name, const struct report *r)
{
    const struct proxy_counts *n = &r->counts;
    fprintf(out,
        "%s: connections %llu accepted %llu established %llu failed %llu probes %llu in_order %llu "
        "memory %llu sealed %llu opened %llu kernel_sends %llu kernel_receives %llu "
        "splice_sends %llu splice_receives %llu\n",
        name, (unsigned long long)r->connections, (unsigned long long)n->accepted,
        (unsigned long long)n->established, (unsigned long long)n->failed, (unsigned long long)n->probes,
        (unsigned long long)n->in_order, (unsigned long long)r->memory, (unsigned long long)r->sealed,
        (unsigned long long)r->opened, (unsigned long long)n->kernel[MILGI_SEND],
        (unsigned long long)n->kernel[MILGI_RECEIVE], (unsigned long long)n->spliced[MILGI_SEND],
        (unsigned long long)n->spliced[MILGI_RECEIVE]);
}

char *report_all(const struct report *const *reports, const long *pids, size_t n)
{
    struct report *sum = calloc(1, sizeof *sum);
    char *text = NULL, name[40];
    size_t len;
    FILE *out = sum ? open_memstream(&text, &len) : NULL;
    for (size_t i = 0; out && i < n; i++) {
        if (reports[i])
            add(sum, reports[i]);
    }
    if (out)
        put_counts(out, "all workers", sum);
    for (size_t i = 0; out && i < n; i++) {
        snprintf(name, sizeof name, "worker %ld", pids[i]);
        if (!reports[i]) {
            fprintf(out, "%s: no answer\n", name);
            continue;
        }
        put_counts(out, name, reports[i]);
        fputs(reports[i]->text, out);
    }
    free(sum);
    if (out && fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}
