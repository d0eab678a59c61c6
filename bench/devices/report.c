/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people, JSON for programs, and what is to be met. */
#include <string.h>

#include "devices.h"

#define INLINE_MAX_NS 50000
#define NEAR_BEST 1.10 /* the router's processor time, of the best choice's */

static const char *const kind_names[KINDS] = { "seal", "open", "sign, ECDSA P-256", "sign, RSA-2048" };

static bool has(const struct contender *c, unsigned i)
{
    return c->wall[i].n > 0;
}

/* Whether |spec| is one of the router's; NULL: of everybody's. */
static bool is_choice(const struct contender *router, const char *spec)
{
    size_t len = strlen(spec);
    const char *at = router ? router->specs : spec;
    while (at && !(strncmp(at, spec, len) == 0 && (at[len] == ' ' || at[len] == 0)))
        at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
    return at != NULL;
}

/* A router keeps nothing on its own thread that takes longer than inline_max_ns; by default so much. */
static bool is_too_long(const struct contender *c, unsigned i)
{
    return strcmp(c->specs, "cpu") == 0 && bench_samples_median(&c->cpu[i]) > INLINE_MAX_NS;
}

/* The device, of those that |router| may choose from, with the least of it at that point; NULL: none has it. */
static const struct contender *best(const struct report *report, const struct contender *router, unsigned i, bool cpu)
{
    const struct contender *found = NULL;
    for (unsigned k = 0; k < report->contenders_n; k++) {
        const struct contender *c = &report->contenders[k];
        if (c->router || !has(c, i) || !is_choice(router, c->specs) || (router && is_too_long(c, i)))
            continue;
        const struct bench_samples *own = cpu ? &c->cpu[i] : &c->wall[i];
        if (!found || bench_samples_median(own) < bench_samples_median(cpu ? &found->cpu[i] : &found->wall[i]))
            found = c;
    }
    return found;
}

static void print_point_name(FILE *out, const struct point *point)
{
    if (point->size != 0)
        fprintf(out, "  %-4s %5u B, %3u at once ", kind_names[point->kind], point->size, point->batch);
    else
        fprintf(out, "  %-17s, %2u at once ", kind_names[point->kind], point->batch);
}

static void print_table(FILE *out, const struct report *report)
{
    fprintf(out, "\nns on the clock / ns of processor time (all threads), an op\n");
    for (unsigned k = 0; k < report->contenders_n; k++)
        if (report->contenders[k].why[0] == 0)
            fprintf(out, "  [%c] %s%s\n", 'a' + (int)k, report->contenders[k].router ? "router: " : "",
                report->contenders[k].specs);
    fprintf(out, "%*s", 27, "");
    for (unsigned k = 0; k < report->contenders_n; k++)
        if (report->contenders[k].why[0] == 0)
            fprintf(out, "%*s[%c]", 14, "", 'a' + (int)k);
    fprintf(out, "   first by clock, by processor time\n");
    for (unsigned i = 0; i < report->points_n; i++) {
        print_point_name(out, &report->points[i]);
        for (unsigned k = 0; k < report->contenders_n; k++) {
            const struct contender *c = &report->contenders[k];
            if (c->why[0] == 0 && has(c, i))
                fprintf(out, " %8.0f/%-7.0f", bench_samples_median(&c->wall[i]), bench_samples_median(&c->cpu[i]));
            else if (c->why[0] == 0)
                fprintf(out, " %8s%8s", "-", "");
        }
        const struct contender *clock = best(report, NULL, i, false), *cpu = best(report, NULL, i, true);
        fprintf(out, "  %s, %s\n", clock ? clock->specs : "-", cpu ? cpu->specs : "-");
    }
}

static void print_bytes(FILE *out, const struct report *report)
{
    fprintf(out, "\nprocessor time a byte of records of 16 KiB, ns\n");
    for (unsigned k = 0; k < report->contenders_n; k++) {
        const struct contender *c = &report->contenders[k];
        for (unsigned i = 0; c->why[0] == 0 && i < report->points_n; i++) {
            const struct point *p = &report->points[i];
            if (p->size == 16384 && has(c, i))
                fprintf(out, "  %-40s %s, %3u at once: %.3f\n", c->specs, kind_names[p->kind], p->batch,
                    bench_samples_median(&c->cpu[i]) / p->size);
        }
    }
}

/* What |c| took there, of what |other| took: the median of the rounds, in each of which one followed the other. */
static double times(const struct contender *c, const struct contender *other, unsigned i)
{
    struct bench_samples ratios = { NULL, 0, 0 };
    for (size_t k = 0; k < c->cpu[i].n; k++)
        bench_samples_add(&ratios, c->cpu[i].v[k] / other->cpu[i].v[k]);
    double median = bench_samples_median(&ratios);
    bench_samples_free(&ratios);
    return median;
}

/* One line a router: how many points are near the best choice, and which is farthest from it. */
static bool judge_router(FILE *out, const struct report *report, const struct contender *c)
{
    unsigned near = 0, all = 0, worst_at = 0;
    double worst = 0;
    for (unsigned i = 0; i < report->points_n; i++) {
        const struct contender *cheapest = best(report, c, i, true);
        if (!cheapest || !has(c, i))
            continue;
        double ratio = times(c, cheapest, i);
        all++;
        near += ratio <= NEAR_BEST;
        if (ratio > NEAR_BEST) {
            print_point_name(out, &report->points[i]);
            fprintf(out, "%.2f of %s (%.0f %% inline)\n", ratio, cheapest->specs, 100 * c->share[i]);
        }
        if (ratio > worst) {
            worst = ratio;
            worst_at = i;
        }
    }
    bool ok = near == all;
    fprintf(out, "%s %u of %u points, wanted all: the router (%s) takes at most %.2f of the best choice's processor\n",
        ok ? "ok   " : "short", near, all, c->specs, NEAR_BEST);
    fprintf(out, "      time; the farthest is %.2f, at", worst);
    print_point_name(out, &report->points[worst_at]);
    fprintf(out, "\n");
    return ok;
}

bool report_print(FILE *out, const struct report *report)
{
    bool ok = true;
    print_table(out, report);
    print_bytes(out, report);
    for (unsigned k = 0; k < report->contenders_n; k++)
        if (report->contenders[k].why[0] != 0)
            fprintf(out, "%s is left out: %s\n", report->contenders[k].specs, report->contenders[k].why);
    fprintf(out, "\n");
    if (report->no_speed) {
        fprintf(out, "measured in a virtual kernel: these figures mean nothing for speed, and nothing is judged\n");
        return true;
    }
    for (unsigned k = 0; k < report->contenders_n; k++)
        if (report->contenders[k].router && report->contenders[k].why[0] == 0)
            ok = judge_router(out, report, &report->contenders[k]) && ok;
    return ok;
}

void report_json(struct bench_json *json, const struct report *report)
{
    bench_json_bool(json, "virtual", report->no_speed);
    bench_json_open(json, "devices", '[');
    for (unsigned k = 0; k < report->contenders_n; k++) {
        const struct contender *c = &report->contenders[k];
        bench_json_open(json, NULL, '{');
        bench_json_text(json, "specs", c->specs);
        bench_json_bool(json, "router", c->router);
        bench_json_text(json, "left_out", c->why);
        bench_json_open(json, "points", '[');
        for (unsigned i = 0; i < report->points_n; i++) {
            if (!has(c, i))
                continue;
            bench_json_open(json, NULL, '{');
            bench_json_text(json, "op", kind_names[report->points[i].kind]);
            bench_json_number(json, "bytes", report->points[i].size);
            bench_json_number(json, "at_once", report->points[i].batch);
            bench_json_number(json, "wall_ns", bench_samples_median(&c->wall[i]));
            bench_json_number(json, "cpu_ns", bench_samples_median(&c->cpu[i]));
            bench_json_number(json, "inline", c->share[i]);
            bench_json_close(json, '}');
        }
        bench_json_close(json, ']');
        bench_json_close(json, '}');
    }
    bench_json_close(json, ']');
}
