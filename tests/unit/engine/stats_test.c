/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted: every op once, whatever becomes of it, and all of it in the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/sim/manual.h"
#include "rig.h"

/* --- counters ----------------------------------------------------------------------------------------------------- */

/* What every device and class owes at any time. */
static void assert_adds_up(const struct milgi_engine_stats *s)
{
    for (unsigned i = 0; i < s->devices_n; i++) {
        const struct milgi_device_stats *d = &s->device[i];
        uint64_t by_type = 0, by_class = 0, ok = 0, bursts = 0;
        for (int type = 0; type < MILGI_OP_TYPES; type++)
            by_type += d->submitted[type];
        for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
            const struct milgi_class_stats *c = &d->cls[cls];
            assert_int_equal(c->submitted, c->ok + c->rejected + c->broken + c->cancelled + c->lost + c->in_flight);
            assert_true(c->in_flight <= c->in_flight_peak || i == 0);
            assert_true(c->waiting <= c->waiting_peak);
            by_class += c->submitted;
            ok += c->ok;
            bursts = 0;
            for (unsigned k = 0; k < MILGI_BATCH_SIZES; k++)
                bursts += c->batch[k];
            assert_int_equal(bursts, c->bursts);
            assert_int_equal(c->burst_ops, i == 0 ? 0 : c->submitted);
        }
        assert_int_equal(by_type, by_class);
        assert_int_equal(ok, d->ok);
    }
}

static void each_kind_of_end_is_counted_where_it_happened(void **state)
{
    (void)state;
    static const enum milgi_op_status ends[] = { MILGI_OP_OK, MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_CANCELLED,
        MILGI_OP_LOST };
    struct milgi_engine_options options;
    struct rig rig;
    milgi_engine_options_init(&options);
    options.rerun = false;
    rig_init(&rig, &options, "sim:manual");
    for (unsigned i = 0; i < 10; i++)
        rig_keygen(&rig);
    for (unsigned i = 0; i < 5; i++)
        rig_seal(&rig, 100);
    rig_run(&rig);
    struct milgi_engine_stats s = stats_of(rig.engine);
    assert_adds_up(&s);
    assert_int_equal(s.device[1].in_flight, 15);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].in_flight, 10);
    for (unsigned i = 0, at = 0; i < 15; i++) {
        milgi__sim_finish(rig.device, at, ends[i % 5]);
        at += ends[i % 5] == MILGI_OP_LOST; /* it stays */
    }
    rig_run(&rig);
    rig.now_ns += 11000 * (uint64_t)MS;
    rig_run(&rig); /* so late that it only collects what came meanwhile */
    rig_run(&rig);
    s = stats_of(rig.engine);
    assert_adds_up(&s);
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        const struct milgi_class_stats *c = &s.device[1].cls[cls];
        unsigned each = cls == MILGI_OP_CLASS_HANDSHAKE ? 2 : 1;
        assert_int_equal(c->ok, each);
        assert_int_equal(c->rejected, each);
        assert_int_equal(c->broken, each);
        assert_int_equal(c->cancelled, each);
        assert_int_equal(c->lost, each);
        assert_int_equal(c->in_flight, 0);
        assert_int_equal(c->in_flight_peak, 5 * each);
        assert_int_equal(c->rerun, 0);
    }
    assert_int_equal(s.device[1].quarantined, 3);
    assert_int_equal(rig.done, 15);
    rig_fini(&rig);
}

static void what_is_run_again_counts_at_both_devices(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:manual");
    for (unsigned i = 0; i < 3; i++)
        rig_keygen(&rig);
    rig_run(&rig);
    milgi__sim_finish(rig.device, 0, MILGI_OP_BROKEN);
    milgi__sim_finish(rig.device, 0, MILGI_OP_CANCELLED);
    milgi__sim_finish(rig.device, 0, MILGI_OP_LOST);
    rig_run(&rig);
    rig.now_ns += 11000 * (uint64_t)MS;
    rig_run(&rig); /* so late that it only collects what came meanwhile */
    rig_run(&rig);
    struct milgi_engine_stats s = stats_of(rig.engine);
    assert_adds_up(&s);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].rerun, 3);
    assert_int_equal(s.device[1].rerun, 3);
    assert_int_equal(s.device[0].cls[MILGI_OP_CLASS_HANDSHAKE].ok, 3);
    assert_int_equal(rig.status[MILGI_OP_OK], 3);
    rig_fini(&rig);
}

static void ops_that_find_a_long_line_are_counted_as_spilled(void **state)
{
    (void)state;
    struct milgi_engine_options options;
    struct rig rig;
    milgi_engine_options_init(&options);
    options.full_policy = MILGI_FULL_SPILL;
    options.full_line = 4;
    rig_init(&rig, &options, "sim:manual,depth=2");
    for (unsigned i = 0; i < 20; i++)
        rig_keygen(&rig);
    rig_run(&rig);
    struct milgi_engine_stats s = stats_of(rig.engine);
    const struct milgi_class_stats *c = &s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE];
    assert_adds_up(&s);
    assert_true(c->spilled > 0);
    assert_int_equal(c->spilled, s.device[0].cls[MILGI_OP_CLASS_HANDSHAKE].ok);
    assert_int_equal(c->spilled + c->submitted + c->waiting, 20);
    assert_int_equal(c->in_flight, 2);
    rig_fini(&rig);
}

static void what_an_owner_leaves_in_line_is_counted_as_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:manual,depth=2");
    for (unsigned i = 0; i < 5; i++)
        rig_keygen(&rig);
    rig_run(&rig);
    milgi__engine_detach(rig.engine, &rig.owner);
    assert_int_equal(milgi__engine_attach(rig.engine, &rig.owner), 0);
    milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
    milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
    rig_run(&rig);
    struct milgi_engine_stats s = stats_of(rig.engine);
    const struct milgi_class_stats *c = &s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE];
    assert_adds_up(&s);
    assert_int_equal(c->dropped, 3);
    assert_int_equal(c->submitted, 2);
    assert_int_equal(c->ok, 2);
    assert_int_equal(c->waiting, 0);
    rig_fini(&rig);
}

static void a_refusing_device_is_counted_full_once_per_burst(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=1ms,units=64");
    milgi__sim_refuse(rig.device, true);
    rig_keygen(&rig);
    rig_keygen(&rig);
    rig_seal(&rig, 100);
    rig_run(&rig);
    struct milgi_engine_stats s = stats_of(rig.engine);
    assert_adds_up(&s);
    uint64_t full = s.device[1].full;
    assert_true(full > 0);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_RECORDS].full, full);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].full, full);
    assert_int_equal(s.device[1].waiting, 3);
    assert_int_equal(s.device[1].bursts, 0);
    milgi__sim_refuse(rig.device, false);
    rig_run(&rig);
    s = stats_of(rig.engine);
    assert_adds_up(&s);
    assert_int_equal(s.device[1].full, full);
    assert_int_equal(s.device[1].bursts, 1);
    assert_int_equal(s.device[1].burst_ops, 3);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_RECORDS].batch[0], 1);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].batch[1], 1);
    rig_fini(&rig);
}

/* Whatever a device does: nothing is counted twice and nothing not at all. */
static void counters_add_up_under_chaos(void **state)
{
    (void)state;
    char spec[96];
    uint64_t broken = 0, lost = 0, full = 0, rerun = 0;
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct milgi_engine_options options;
        struct rig rig;
        unsigned submitted = 0;
        milgi_engine_options_init(&options);
        options.op_timeout_ns[0] = options.op_timeout_ns[1] = 50 * MS;
        options.rerun = seed % 2;
        snprintf(spec, sizeof spec, "chaos:seed=%u,fail=0.1,lose=0.03,refuse=0.2", seed);
        rig_init(&rig, &options, spec);
        for (unsigned turn = 0; turn < 100; turn++) {
            for (unsigned i = 0; i < turn * seed % 7; i++, submitted++)
                i % 2 ? rig_seal(&rig, 50) : rig_keygen(&rig);
            rig_run(&rig);
            rig.now_ns += 100 * US;
            struct milgi_engine_stats s = stats_of(rig.engine);
            assert_adds_up(&s);
        }
        for (unsigned turn = 0; turn < 4000 && rig.done < submitted; turn++) {
            rig.now_ns += MS;
            rig_run(&rig);
        }
        assert_int_equal(rig.done, submitted);
        struct milgi_engine_stats s = stats_of(rig.engine);
        assert_adds_up(&s);
        const struct milgi_device_stats *d = &s.device[1];
        /* Each was submitted to one of the devices first, and to the inline device once more if it was run again. */
        uint64_t all = d->cls[0].submitted + d->cls[1].submitted + s.device[0].cls[0].submitted +
            s.device[0].cls[1].submitted;
        assert_int_equal(all, submitted + d->rerun);
        assert_int_equal(d->in_flight + d->waiting + s.device[0].in_flight, 0);
        broken += d->broken;
        lost += d->lost;
        full += d->full;
        rerun += d->rerun;
        rig_fini(&rig);
    }
    assert_true(broken && lost && full && rerun);
}

/* --- the text ----------------------------------------------------------------------------------------------------- */

static char *dump_of(const struct milgi_engine *engine)
{
    size_t len = milgi_engine_dump(engine, NULL, 0);
    char *text = malloc(len + 1);
    assert_non_null(text);
    assert_int_equal(milgi_engine_dump(engine, text, len + 1), len);
    assert_int_equal(strlen(text), len);
    return text;
}

static void the_text_has_every_device_and_what_was_counted_there(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=8");
    struct milgi_device *more;
    assert_int_equal(milgi_device_new("chaos:seed=3", &more, NULL), 0);
    assert_int_equal(milgi_engine_add_device(rig.engine, more), 2);
    for (unsigned i = 0; i < 7; i++)
        rig_keygen(&rig);
    sample_next(rig.engine);
    rig_keygen(&rig);
    rig_run(&rig);
    rig.now_ns += 20 * US;
    rig_run(&rig);
    char *text = dump_of(rig.engine);
    assert_non_null(strstr(text, "\ndevice 0: cpu, in service"));
    assert_non_null(strstr(text, "\ndevice 1: sim:latency=20us,units=8, in service"));
    assert_non_null(strstr(text, "\ndevice 2: chaos:seed=3, in service"));
    assert_non_null(strstr(text, "\n  submitted                     0              8\n"));
    assert_non_null(strstr(text, "\n    of 8 to 15                  0              1\n"));
    assert_non_null(strstr(text, "  handshake device            1   20.0 us   20.0 us"));
    free(text);
    rig_fini(&rig);
    milgi_device_free(more);
}

static void no_number_is_too_large_for_its_line(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=8");
    struct milgi__dev_stats *s = &rig.engine->dev[1].stat;
    s->bursts = s->burst_ops = UINT64_MAX;
    for (int type = 0; type < MILGI_OP_TYPES; type++)
        s->submitted[type] = s->completed[type] = UINT64_MAX;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        struct milgi__class_stats *c = &s->cls[cls];
        c->submitted = c->rerun = c->spilled = c->dropped = c->full = c->bursts = c->burst_ops = UINT64_MAX;
        for (unsigned i = 0; i < MILGI_BATCH_SIZES; i++)
            c->batch[i] = UINT64_MAX;
        for (unsigned part = 0; part < MILGI_LATENCY_PARTS; part++)
            milgi__stats_time(s, cls, (enum milgi_latency_part)part, UINT64_MAX);
    }
    memset(s->spec, 'x', sizeof s->spec - 1);
    char *text = dump_of(rig.engine), *rest = NULL;
    unsigned lines = 0, of_records = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        assert_true(strlen(line) < 160);
        of_records += strstr(line, "18446744073709551615 18446744073709551615") != NULL;
        lines++;
    }
    assert_int_equal(of_records, 6 + MILGI_BATCH_SIZES);
    assert_true(lines > 30);
    free(text);
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        s->cls[cls].submitted = 0;
    rig_fini(&rig);
}

static void a_text_that_does_not_fit_ends_behind_a_whole_line(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=8");
    char *text = dump_of(rig.engine), *part = malloc(strlen(text) + 2);
    size_t len = strlen(text);
    for (size_t size = 1; size <= len + 1; size++) {
        memset(part, 'z', len + 2);
        assert_int_equal(milgi_engine_dump(rig.engine, part, size), len);
        size_t got = strlen(part);
        assert_true(got < size);
        assert_memory_equal(part, text, got);
        assert_true(got == 0 || part[got - 1] == '\n');
        for (size_t i = size; i < len + 2; i++)
            assert_int_equal(part[i], 'z');
        /* No line that would have fitted is missing. */
        const char *end = strchr(text + got, '\n');
        assert_true(!end || (size_t)(end - text) + 1 >= size);
    }
    assert_string_equal(part, text);
    free(part);
    free(text);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_end_is_counted_where_it_happened),
        cmocka_unit_test(what_is_run_again_counts_at_both_devices),
        cmocka_unit_test(ops_that_find_a_long_line_are_counted_as_spilled),
        cmocka_unit_test(what_an_owner_leaves_in_line_is_counted_as_dropped),
        cmocka_unit_test(a_refusing_device_is_counted_full_once_per_burst),
        cmocka_unit_test(counters_add_up_under_chaos),
        cmocka_unit_test(the_text_has_every_device_and_what_was_counted_there),
        cmocka_unit_test(no_number_is_too_large_for_its_line),
        cmocka_unit_test(a_text_that_does_not_fit_ends_behind_a_whole_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
