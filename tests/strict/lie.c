/* SPDX-License-Identifier: Apache-2.0 */
#include "lie.h"

bool lie_edit(struct liar *liar, struct pair_bytes *m)
{
    const struct lie *lie = liar->setup.arg;
    if (m->p[0] != lie->place.type)
        return true;
    liar->setup.edit = NULL;
    switch (lie->what) {
    case ADD:
    case ADD_LAST: liar_ext_add(m, lie->iana, lie->body, lie->len, lie->what == ADD_LAST); break;
    case SET: liar_ext_set(m, lie->iana, lie->body, lie->len); break;
    case REMOVE: liar_ext_remove(m, lie->iana); break;
    case DOUBLE: {
        size_t at = liar_block(m);
        struct pair_bytes first = { 0 };
        pair_bytes_add(&first, m->p + at + 4, milgi__get16(m->p + at + 2));
        liar_ext_add(m, milgi__get16(m->p + at), first.p, first.len, true);
        free(first.p);
        break;
    }
    case CALL: lie->call(m); break;
    }
    return true;
}

void tell_as(const struct lie *lie, const struct liar_setup *setup, const char *detail)
{
    struct liar liar;
    liar_init(&liar, setup);
    assert_true(liar_step_to(&liar, lie->place.type, lie->place.nth));
    liar.setup.edit = lie_edit;
    liar.setup.arg = (void *)(uintptr_t)lie;
    go_on(&liar);
    bool open = liar.victim->established;
    if (open != (lie->alert == OK))
        fail_msg("%s: %s", lie->name, liar_end(&liar));
    if (!open) {
        int alerts[] = { lie->alert, lie->other ? lie->other : lie->alert, -1 };
        const struct milgi_reason *reason = &liar.victim->reason;
        bool as_told = !detail || strcmp(reason->detail, detail) == 0;
        if ((reason->alert != alerts[0] && reason->alert != alerts[1]) || !as_told)
            fail_msg("%s: %s", lie->name, liar_end(&liar));
        liar_expect_alerts(&liar, alerts);
        expect_silence(&liar);
    }
    liar_fini(&liar);
}

void tell(const struct lie *lie)
{
    struct liar_setup setup = setup_of(&lie->place);
    tell_as(lie, &setup, NULL);
}

void tell_all(const struct lie *lies, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tell(&lies[i]);
}
