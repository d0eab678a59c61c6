/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How other threads reach an engine (src/engine/posts.c, collect() of src/engine/turn.c), for Spin: calls that are
 * posted, the bit |woken| that keeps the descriptor from being written for each of them, and the descriptor itself, which
 * devices ring, too. README.md says what stands for what.
 *
 * What must hold: every call is made exactly once, those of one thread in their order; none is forgotten while the engine
 * sleeps; and an engine with nothing to do is not run for ever by a descriptor that stays readable.
 *
 * Sizes (-D): POSTERS, threads that post POSTS calls each; RINGS times that a device which is armed rings the descriptor,
 * late as it may be. BROKEN n: one rule is broken, and something has to be found.
 */
#ifndef RINGS
#define RINGS 0
#endif
#ifndef BROKEN
#define BROKEN 0
#endif

#define NITEMS (POSTERS * POSTS)
#define NONE 99

/* Where a posted call is; not in the code: what is checked. */
#define UNMADE 0
#define LISTED 1
#define TAKEN 2
#define CALLED 3 /* and freed */

byte head = NONE; /* items */
byte next[NITEMS], is[NITEMS];
bit woken;
bit edge; /* the descriptor is readable: written since it was cleared */
byte posters_gone, rings_due, rings_gone;

/* milgi__posts_add() and milgi__posts_wake() */
proctype poster(byte me)
{
    byte i, h, item;
    bit before;

    do
    :: i < POSTS ->
        atomic { item = me * POSTS + i; h = head; next[item] = h };
#if BROKEN == 1 /* wakes before there is anything to find */
        atomic { before = woken; woken = 1 };
        if
        :: !before -> edge = 1
        :: else
        fi;
#endif
        do
        :: atomic {
                if
#if BROKEN == 2 /* a store instead of a compare-and-exchange */
                :: true ->
#else
                :: head == h ->
#endif
                    head = item;
                    is[item] = LISTED;
                    break
                :: else -> h = head; next[item] = h
                fi
           }
        od;
#if BROKEN != 1
        atomic { before = woken; woken = 1 };
        if
        :: !before -> edge = 1
        :: else
        fi;
#endif
        atomic { i++; h = 0; before = 0 }
    :: else -> break
    od;
    posters_gone++
}

/* A device that is armed writes its own descriptor, which is in the same set. */
proctype ringer()
{
end_ringer:
    do
    :: atomic { rings_due > 0 -> rings_due-- };
        atomic { edge = 1; rings_gone++ }
    od
}

proctype engine()
{
    byte h, fifo, n, called[POSTERS], armed_n;
    bit looks, armed, ever_rung;

    fifo = NONE;
turn: /* collect() */
    /* called_for_nothing(): there is never anything else to do here, so it is whether something may ring late. */
#if BROKEN == 6 /* clears only what it knows of */
    looks = armed || woken;
#else
    atomic { ever_rung = ever_rung || woken || armed; looks = ever_rung || armed };
#endif
    if
    :: looks ->
        armed = 0;
#if BROKEN == 3 /* says that it is not woken, then clears: what was written between is lost */
        woken = 0;
        edge = 0
#elif BROKEN == 4 /* the calls are made first */
        skip
#else
        edge = 0; /* milgi__port_waker_clear() */
        woken = 0
#endif
    :: else
    fi;
    /* milgi__posts_run() */
    if
    :: !looks -> h = NONE /* it is not called: nobody has woken the engine yet */
    :: else ->
#if BROKEN == 5 /* looks, then stores */
        h = head;
        head = NONE
#else
        atomic { h = head; head = NONE }
#endif
    fi;
    d_step {
        do
        :: h != NONE ->
            assert(is[h] == LISTED);
            is[h] = TAKEN;
            n = next[h];
            next[h] = fifo;
            fifo = h;
            h = n
        :: else -> break
        od;
        n = 0;
        h = 0
    };
    do
    :: fifo != NONE ->
progress_called:
        d_step {
            assert(is[fifo] == TAKEN && fifo % POSTS == called[fifo / POSTS]);
            called[fifo / POSTS]++;
            is[fifo] = CALLED;
            fifo = next[fifo]
        }
    :: else -> break
    od;
#if BROKEN == 4
    if
    :: looks -> edge = 0; woken = 0
    :: else
    fi;
#endif
    looks = 0;
    /* milgi__dev_arm(): a device has something in it now, or not. */
    if
    :: atomic { armed_n < RINGS -> armed_n++; armed = 1; rings_due++ }
    :: true
    fi;
    /* The host's poll() */
    if
    :: atomic { edge -> skip };
        goto turn
    :: atomic { posters_gone == POSTERS && rings_gone == armed_n && head == NONE && !edge -> skip };
        goto gone
    fi;
gone:
    n = 0;
    do
    :: n < NITEMS -> assert(is[n] == CALLED); n++
    :: else -> break
    od
}

init
{
    byte k;

    atomic {
        run engine();
#if RINGS
        run ringer();
#endif
        do
        :: k < POSTERS -> run poster(k); k++
        :: else -> break
        od
    }
}
