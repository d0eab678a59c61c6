/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between engines and the threads of a crew (src/device/worker), for Spin: every interleaving of some
 * engines, workers and ops. README.md says which lines stand for which functions, what is left out and why that is
 * sound, and what is checked. tests/model/run runs it.
 *
 * Sizes (-D): WORKERS; ENGINES, each with one queue pair at a time; QPS queue pairs of the crew; DEPTH of each; OPS that
 * an engine puts in before it closes; CLASSES of ops: 1 records, 2 handshake too; AT_ONCE records that a worker takes.
 * Choices: EARLY engines may go with ops in flight; ABANDON they may go without waiting for those; CANCEL; LOOP 0 the engine's turn, 1 whoever does no more than what
 * milgi/device.h asks for. BROKEN n: one rule is broken, and something has to be found.
 *
 * Each statement, and each atomic { }, has at most one access to what others may touch at that moment. Loops around a
 * compare-and-exchange are one step, that of the exchange that succeeds or of the load that finds nothing; those of
 * lane.h only unless FINE.
 */
#ifndef FINE
#define FINE 0
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef ABANDON
#define ABANDON 0
#endif
#ifndef CANCEL
#define CANCEL 0
#endif
#ifndef LOOP
#define LOOP 0
#endif
#ifndef BROKEN
#define BROKEN 0
#endif
#ifndef AT_ONCE
#define AT_ONCE 2
#endif

#if BROKEN == 12 /* fewer cells than ops that may be in flight */
#define CELLS (DEPTH / 2)
#elif DEPTH > 2
#define CELLS 4
#else
#define CELLS DEPTH
#endif
#define NOPS (ENGINES * DEPTH)

#define NONE 99
#define ARMED 98

/* enum milgi__ticket_state */
#define WAITING 0
#define BEGUN 1
#define CANCELLED 2

/* Who has an op; not in the code: what is checked. */
#define OWNERS 0 /* the engine may free it, or use it again */
#define IN_LANE 1
#define TAKEN 2 /* a worker's, or the engine's while it drains */
#define DONE 3

typedef lane_t {
    byte head, tail, written;
    byte cell[CELLS]
};

typedef qp_t {
    bit mem; /* allocated */
    bit open, quiescing;
    lane_t lane[CLASSES];
    byte done = NONE;
    byte fd;  /* what the eventfd counts */
    bit edge; /* it is on the engine's epoll's list */
    byte ready; /* a bit for each op */
    byte in_flight;
    bit armed;
    short rung
};

qp_t qp[QPS];
byte qps_n;
byte parked, tokens;
bit asleep[WORKERS]; /* in futex(FUTEX_WAIT) */
bit stopping;
byte state[NOPS], next[NOPS], has[NOPS];
byte engines_gone, workers_gone;
#if ABANDON
byte undone[QPS]; /* ops that were not given back yet; not in the code */
#define UNDONE(q, more) undone[q] = undone[q] + more
#else
#define UNDONE(q, more) skip
#endif

#if CLASSES == 2
#define CLASS_OF(op) ((op) % 2)
#else
#define CLASS_OF(op) 0
#endif
#define MINE(op) ((op) / DEPTH == me)
#define BIT(op) (1 << ((op) % DEPTH))
#define SOME(q) (qp[q].done != NONE && qp[q].done != ARMED)

/* --- lane.h ------------------------------------------------------------------------------------------------------- */

/* |n| ops leave the lane for got[]; each was there, and nobody has had it since it was put. Uses k. */
inline take(q, c, at)
{
    qp[q].lane[c].head = at + n;
    do
    :: k < n -> assert(has[got[k]] == IN_LANE); has[got[k]] = TAKEN; k++
    :: else -> k = 0; break
    od
}

inline read_cells(q, c, at)
{
    do
    :: k < n -> got[k] = qp[q].lane[c].cell[(at + k) % CELLS]; k++
    :: else -> k = 0; break
    od
}

/* milgi__lane_take(): |n| ops in got[]. Uses h, t, k. */
#if FINE
inline lane_take(q, c, max, sharers)
{
    atomic { assert(qp[q].mem); h = qp[q].lane[c].head };
    do
    :: atomic {
            t = qp[q].lane[c].tail;
            if
            :: h == t -> n = 0; h = 0; t = 0; break
            :: else -> n = (t - h + sharers - 1) / sharers; if :: n > max -> n = max :: else fi
            fi
       };
       /* The cells may be written anew between this and the exchange. */
       d_step { read_cells(q, c, h) };
       atomic {
            if
#if BROKEN == 6 /* a store instead of a compare-and-exchange */
            :: true ->
#else
            :: qp[q].lane[c].head == h ->
#endif
                take(q, c, h);
                h = 0; t = 0;
                break
            :: else -> h = qp[q].lane[c].head
            fi
       }
    od
}
#else
/* An exchange that succeeds has found the head and the cells as they are; the tail may have been read before: any |n|. */
inline lane_take(q, c, max, sharers)
{
    atomic {
        assert(qp[q].mem);
        n = qp[q].lane[c].tail - qp[q].lane[c].head;
        if
        :: n == 0
        :: n > 0 ->
            n = (n + sharers - 1) / sharers;
            if :: n > max -> n = max :: else fi;
            do
            :: n > 1 -> n--
            :: true -> break
            od;
            read_cells(q, c, qp[q].lane[c].head);
            take(q, c, qp[q].lane[c].head)
        fi
    }
}
#endif

/* give_back(): milgi__done_push() and ring(). The ticket is the pusher's until the exchange. Uses h. */
#if FINE
#define PUSH_LOADS(q) atomic { assert(qp[q].mem); h = qp[q].done }
#else
#define PUSH_LOADS(q) skip
#endif
inline give_back(q, op)
{
    PUSH_LOADS(q);
    do
    :: atomic {
#if !FINE /* what was loaded before is what an exchange that succeeds finds */
            assert(qp[q].mem);
            h = qp[q].done;
#endif
            assert(has[op] == TAKEN);
            next[op] = (h == ARMED -> NONE : h);
            if
#if BROKEN == 5 /* a store instead of a compare-and-exchange */
            :: true ->
#else
            :: qp[q].done == h ->
#endif
                qp[q].done = op;
                has[op] = DONE;
                UNDONE(q, -1);
                break
            :: else -> h = qp[q].done
            fi
       }
    od;
    if
    :: h == ARMED -> atomic { assert(qp[q].mem); qp[q].fd++; qp[q].edge = 1; h = 0 }
    :: else -> h = 0
    fi
}

/* --- bed.c -------------------------------------------------------------------------------------------------------- */

/* milgi__bed_call(), in three steps. */
inline call_look(max)
{
    d_step {
        called = (parked < max -> parked : max);
        parked = parked - called
    }
}

inline call_wake()
{
    atomic {
        do
        :: called > 0 && asleep[0] -> asleep[0] = 0; called--
#if WORKERS > 1
        :: called > 0 && asleep[1] -> asleep[1] = 0; called--
#endif
#if WORKERS > 2
        :: called > 0 && asleep[2] -> asleep[2] = 0; called--
#endif
        :: else -> break
        od;
        called = 0
    }
}

inline call_leave()
{
    if
    :: called > 0 ->
#if BROKEN == 9 /* wakes before it has left the tokens */
        n = called;
        call_wake();
        atomic { tokens = tokens + n; n = 0 }
#else
        tokens = tokens + called;
        call_wake()
#endif
    :: else
    fi
}

/* --- a worker: run(), work(), serve(), perform(), sleep_until_called() ------------------------------------------- */

proctype worker()
{
    byte got[AT_ONCE];
    byte me = _pid - 1;
    byte q, qn, qi, from, c, ci, h, t, n, k, i;

look: /* Which class and which queue pair comes first is said by records_last and cursor: any. */
    atomic {
        ci = 0;
        if
        :: c = 0
        :: CLASSES == 2 -> c = CLASSES - 1
        fi
    };
serve:
    atomic {
        qn = qps_n;
        qi = 0;
        if
        :: from = 0
        :: qn == 2 -> from = 1
        fi
    };
    do
    :: qi < qn ->
        q = (from + qi) % qn;
        lane_take(q, c, (c == 0 -> AT_ONCE : 1), WORKERS);
        if
        :: n > 0 -> break
        :: else -> qi++
        fi
    :: else -> break
    od;
    if
    :: n == 0 && ci + 1 < CLASSES -> atomic { ci++; c = CLASSES - 1 - c; goto serve }
    :: n == 0 && ci + 1 == CLASSES -> atomic { ci = 0; c = 0; qi = 0; qn = 0; from = 0; q = 0; goto idle }
    :: else -> i = 0
    fi;
    do
    :: i < n ->
        if
        :: qp[q].quiescing
        :: else ->
            /* WAITING becomes BEGUN, and the op is performed. */
            atomic {
                assert(has[got[i]] == TAKEN);
                if
                :: state[got[i]] == WAITING -> state[got[i]] = BEGUN
                :: else -> assert(state[got[i]] == CANCELLED)
                fi
            };
            assert(has[got[i]] == TAKEN)
        fi;
        give_back(q, got[i]);
        atomic { got[i] = 0; i++ }
    :: else -> break
    od;
progress_worker:
    atomic { n = 0; i = 0; ci = 0; c = 0; qi = 0; qn = 0; from = 0; q = 0; goto look };

idle:
    if
    :: stopping -> goto gone
    :: else
    fi;
#if BROKEN != 4
    parked++;
#endif
#if BROKEN != 2 /* sleeps without looking again */
    /* anything_waits() */
    qn = qps_n;
    do
    :: qi < qn * CLASSES ->
        atomic { assert(qp[qi / CLASSES].mem); t = qp[qi / CLASSES].lane[qi % CLASSES].tail };
        if
        :: qp[qi / CLASSES].lane[qi % CLASSES].head != t -> atomic { t = 0; qi = 0; qn = 0; goto rise }
        :: else -> atomic { t = 0; qi++ }
        fi
    :: else -> break
    od;
    atomic {
        qi = 0;
        qn = 0;
        if
        :: stopping -> goto rise
        :: else
        fi
    };
#endif
#if BROKEN == 4 /* looks, then lies down */
    parked++;
#endif
sleep: /* milgi__bed_sleep() without end */
    if
    :: atomic { tokens > 0 -> tokens--; goto look }
    :: atomic { tokens == 0 -> skip }
    fi;
    if /* FUTEX_WAIT, if there still is none */
    :: atomic { tokens == 0 -> asleep[me] = 1 }
    :: atomic { tokens > 0 -> goto sleep }
    fi;
    atomic { !asleep[me] -> goto sleep };
rise: /* milgi__bed_rise() */
#if BROKEN == 4
    goto look;
#endif
    if
    :: atomic { parked > 0 -> parked--; goto look }
#if BROKEN == 10 /* leaves the token to somebody else */
    :: atomic { parked == 0 -> goto look }
#else
    :: atomic { parked == 0 -> goto sleep }
#endif
    fi;
gone:
    workers_gone++
}

/* --- an engine ---------------------------------------------------------------------------------------------------- */

/* milgi__done_take() and what collect() makes of it. Uses h, k. */
inline collect_taken(q)
{
    atomic {
        h = qp[q].done;
        qp[q].done = NONE;
        if
        :: h == ARMED -> h = NONE
        :: else
        fi;
        do
        :: h != NONE ->
            assert(has[h] == DONE && MINE(h) && !(qp[q].ready & BIT(h)));
            qp[q].ready = qp[q].ready | BIT(h);
            h = next[h]
        :: else -> break
        od;
        h = 0
    }
}

inline collect(q)
{
    if
    :: atomic { SOME(q) -> if :: qp[q].armed -> qp[q].armed = 0; qp[q].rung++ :: else fi }; collect_taken(q)
    :: atomic { !SOME(q) -> skip }
    fi
}

/* hush(): |n| is what the descriptor counted. */
inline hush(q)
{
    atomic {
        n = 0;
        if
        :: qp[q].rung > 0 ->
            n = qp[q].fd;
            qp[q].fd = 0;
#if BROKEN == 11
            qp[q].rung = (qp[q].rung > n -> qp[q].rung - n : 0)
#else
            qp[q].rung = qp[q].rung - n
#endif
        :: else
        fi
    }
}

/* milgi__crew_dequeue(): |got_n| ops, one or all. Uses k. */
inline dequeue(q)
{
    collect(q);
    hush(q);
#if BROKEN != 11 /* does not look again after it has read the descriptor */
    if
    :: n > 0 -> n = 0; collect(q)
    :: else
    fi;
#else
    n = 0;
#endif
    atomic {
        got_n = 0;
        k = 0;
        do
        :: k < DEPTH && (qp[q].ready & (1 << k)) ->
            assert(has[me * DEPTH + k] == DONE);
            qp[q].ready = qp[q].ready & ~(1 << k);
            has[me * DEPTH + k] = OWNERS;
            next[me * DEPTH + k] = 0;
            state[me * DEPTH + k] = WAITING;
            qp[q].in_flight--;
            got_n++;
            if
            :: k = DEPTH
            :: k++
            fi
        :: k < DEPTH && !(qp[q].ready & (1 << k)) -> k++
        :: else -> break
        od;
        k = 0
    }
}

/* milgi__crew_enqueue() of a burst of any size; what is refused is |left|. Uses k, n, called. */
inline enqueue(q)
{
    /* milgi__lane_put(): nobody takes them before they are published. DEPTH ops there are: one for each in flight. */
    atomic {
        k = 0;
        do
        :: left > 0 && has[me * DEPTH + k] == OWNERS ->
            has[me * DEPTH + k] = IN_LANE;
            state[me * DEPTH + k] = WAITING;
            qp[q].lane[CLASS_OF(k)].cell[qp[q].lane[CLASS_OF(k)].written % CELLS] = me * DEPTH + k;
            qp[q].lane[CLASS_OF(k)].written++;
            qp[q].in_flight++;
            UNDONE(q, 1);
            left--;
            n++;
            if
            :: break
            :: k + 1 < DEPTH -> k++
            fi
        :: k + 1 < DEPTH && has[me * DEPTH + k] != OWNERS -> k++
        :: else -> break
        od;
        k = 0
    };
#if BROKEN == 1 /* publishes by a plain store, which others see after the next load: the look at the sleepers */
    call_look(n);
#endif
    qp[q].lane[0].tail = qp[q].lane[0].written;
#if CLASSES == 2
    qp[q].lane[1].tail = qp[q].lane[1].written;
#endif
#if BROKEN != 1
    call_look(n);
#endif
    n = 0;
    call_leave()
}

/* milgi__crew_arm(): |asked| if the engine will be told. */
inline arm(q)
{
    if
    :: qp[q].ready != 0 -> asked = 0
    :: else ->
#if BROKEN == 3 /* looks and stores, in two steps */
        h = qp[q].done;
        if
        :: h == NONE || h == ARMED -> atomic { qp[q].done = ARMED; asked = 1; h = 0 }
        :: else -> asked = 0; h = 0
        fi
#else
        atomic {
            if
            :: qp[q].done == NONE -> qp[q].done = ARMED; asked = 1
            :: qp[q].done == ARMED -> asked = 1
            :: else -> asked = 0
            fi
        }
#endif
    fi;
    if
    :: asked -> qp[q].armed = 1
    :: else
    fi
}

/* milgi__crew_quiesce() with drain() */
inline quiesce(q)
{
    qp[q].quiescing = 1;
    c = 0;
    do
    :: c < CLASSES ->
        lane_take(q, c, 1, 1);
        if
        :: n == 0 -> c++
        :: else -> n = 0; give_back(q, got[0]); got[0] = 0
        fi
    :: else -> c = 0; break
    od;
    do
    :: collect(q);
        count_ready();
        if
        :: n == qp[q].in_flight -> n = 0; break
#if BROKEN == 7 /* does not wait for what workers have begun */
        :: n != qp[q].in_flight -> n = 0; break
#else
        :: n != qp[q].in_flight -> n = 0; SOME(q) /* naps until there is something */
#endif
#if ABANDON
        :: n != qp[q].in_flight -> n = 0; abandoned = 1; break /* its time is over */
#endif
        fi
    od;
    if
    :: abandoned
    :: else -> qp[q].quiescing = 0
    fi
}

inline count_ready()
{
    d_step {
        n = 0;
        k = 0;
        do
        :: k < DEPTH -> n = n + ((qp[q].ready >> k) & 1); k++
        :: else -> break
        od;
        k = 0
    }
}

/* is_unused() of a queue pair that was abandoned, and make_new(). Uses h, k. */
#if ABANDON
#if BROKEN == 16 /* used again although something of it is under way */
#define BACK(q) true
#else
#define BACK(q) (undone[q] == 0)
#endif
inline make_new(q)
{
    k = 0;
    h = qp[q].done;
    do
    :: h != NONE && h != ARMED -> assert(has[h] == DONE); qp[q].ready = qp[q].ready | BIT(h); h = next[h]
    :: else -> break
    od;
    if
    :: SOME(q) && qp[q].armed -> qp[q].rung++
    :: else
    fi;
    count_ready();
#if BROKEN != 16
    assert(n == qp[q].in_flight);
#endif
    if
    :: qp[q].rung > 0 -> qp[q].rung = qp[q].rung - qp[q].fd; qp[q].fd = 0
    :: else
    fi;
    n = 0;
    h = 0;
    qp[q].done = NONE;
    qp[q].armed = 0;
    qp[q].ready = 0;
    qp[q].in_flight = 0;
    qp[q].quiescing = 0
}
#else
#define BACK(q) true
#define make_new(q) skip
#endif

/* milgi__crew_open() with find_qp(), under the lock: a closed one, or a new one. */
inline crew_open()
{
    atomic {
        if
        :: qps_n > 0 && !qp[0].open && BACK(0) -> q = 0; make_new(q)
#if QPS > 1
        :: qps_n > 1 && !qp[1].open && BACK(1) -> q = 1; make_new(q)
#endif
        :: qps_n < QPS && (qps_n == 0 || qp[0].open) -> q = qps_n; qp[q].mem = 1; qps_n++
        fi;
        qp[q].open = 1;
        qp[q].edge = (qp[q].fd > 0)
    }
}

#if LOOP == 0
#define READABLE(q) (qp[q].edge && qp[q].fd > 0)
#else
#define READABLE(q) (qp[q].fd > 0)
#endif

proctype engine(byte me)
{
    byte got[1];
    byte q, c, h, t, n, k, called, got_n;
    byte left = OPS;
    bit asked, may_ring, used, abandoned;

    crew_open();

turn:
#if LOOP == 0
    /* collect() of engine.c: milgi__port_waker_clear() */
    if
    :: may_ring -> atomic { may_ring = 0; qp[q].edge = 0 }
    :: else
    fi;
#endif
    /* poll_devices() */
    if
#if BROKEN == 13 /* does not look at a device that has nothing of it */
    :: qp[q].in_flight > 0 ->
#else
    :: used ->
#endif
        dequeue(q)
    :: else
    fi;
    if
    :: got_n > 0 ->
progress_got:
        got_n = 0
    :: else
    fi;
    /* What the connections want. */
    if
    :: left > 0 && qp[q].in_flight < DEPTH -> enqueue(q)
    :: true
#if EARLY
    :: qp[q].in_flight > 0 -> goto quit
#endif
#if CANCEL
    :: qp[q].in_flight > 0 ->
        atomic {
            if
            :: has[me * DEPTH] != OWNERS -> k = me * DEPTH
#if DEPTH > 1
            :: has[me * DEPTH + 1] != OWNERS -> k = me * DEPTH + 1
#endif
#if DEPTH > 2
            :: has[me * DEPTH + 2] != OWNERS -> k = me * DEPTH + 2
#endif
            fi;
            if
            :: state[k] == WAITING -> state[k] = CANCELLED
            :: else
            fi;
            k = 0
        }
#endif
    fi;
    /* before_sleep(): milgi__dev_arm() */
    if
    :: qp[q].in_flight > 0 ->
        atomic { used = 1; may_ring = 1 };
        arm(q);
        if
        :: asked -> asked = 0
        :: else -> goto turn
        fi
    :: else
    fi;
sleep: /* the host's poll() */
    if
    :: READABLE(q) ->
#if LOOP == 1
        /* It armed once: nothing was found, so the descriptor will be readable when something has ended. */
        dequeue(q);
        if
        :: got_n == 0 && qp[q].in_flight > 0 && qp[q].ready == 0 -> goto sleep
        :: else -> goto turn
        fi
#else
        goto turn
#endif
    :: left > 0 && qp[q].in_flight < DEPTH ->
progress_event: /* something else to do */
        goto turn
    :: left == 0 && qp[q].in_flight == 0 -> goto quit
    fi;

quit: /* drain_device(), and its qp_close */
#if BROKEN == 14 /* its ops are freed before it has quiesced */
    atomic {
        k = 0;
        do
        :: k < DEPTH -> has[me * DEPTH + k] = OWNERS; k++
        :: else -> break
        od;
        k = 0
    };
#endif
    quiesce(q);
    do
    :: qp[q].ready != 0 -> dequeue(q); got_n = 0
    :: else -> break
    od;
    /* milgi__crew_close() */
    if
    :: qp[q].in_flight == 0 ->
        collect_taken(q);
        atomic { qp[q].armed = 0; qp[q].quiescing = 0 };
        hush(q)
    :: else -> assert(ABANDON)
    fi;
#if BROKEN == 8 /* the queue pair's memory goes when it is closed */
    qp[q].mem = 0;
#endif
    atomic { n = 0; qp[q].open = 0; engines_gone++ }
}

/* --- the crew: milgi__crew_new(), milgi__crew_free() -------------------------------------------------------------- */

init
{
    byte called, n, k, c;

    atomic {
        do
        :: k < WORKERS -> run worker(); k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < ENGINES -> run engine(k); k++
        :: else -> k = 0; break
        od
    };
    engines_gone == ENGINES;
#if BROKEN == 15 /* calls before it has said why */
    call_look(WORKERS);
    call_leave();
    stopping = 1;
#else
    stopping = 1;
    call_look(WORKERS);
    call_leave();
#endif
    workers_gone == WORKERS;
    /* Nobody lies there, nothing is left, and every write of a descriptor is known. */
    atomic {
        assert(parked == 0 && tokens == 0);
        do
        :: k < qps_n ->
            if
            :: ABANDON && qp[k].in_flight > 0
            :: else ->
                assert(qp[k].done == NONE && qp[k].ready == 0 && qp[k].in_flight == 0);
                assert(qp[k].fd == qp[k].rung)
            fi;
            c = 0;
            do
            :: c < CLASSES ->
                assert(qp[k].lane[c].head == qp[k].lane[c].written && qp[k].lane[c].tail == qp[k].lane[c].written);
                c++
            :: else -> break
            od;
            k++
        :: else -> break
        od;
        k = 0;
        do
        :: k < NOPS -> assert(has[k] == OWNERS || (ABANDON && has[k] == DONE)); k++
        :: else -> break
        od
    }
}
