"""The loss ledger: what is concluded while a day is recorded. Theory of operation.

A lost push leaves no trace of its own. What we have instead is evidence that arrives at other times and by other ways,
and each kind can be wrong in its own way. The ledger turns it into rows of the day's database:

- a **doubt** is an interruption in which something *may* be missing;
- a **gap** is a range of one symbol in which something *is* missing, with how much and how that is known.

The journal is read in order, once. `judge` takes each **mark** between the ticks (an event of the session, a window, a
snapshot) to the ledger of its day (`day`), which writes in the same transaction as the ticks. So the same journal gives
the same conclusions, however it was cut into batches, and a replay changes nothing.

**Evidence**

1. *Windows* (`continuity`): a reply of GetTicker has OpenD's newest ticks of a symbol, without a hole. One that reaches
   back to the last tick before an outage proves that nothing is missing, if OpenD itself had gone on meanwhile.
2. *Ordinals* (`ordinals`): the low half of a sequence may count a symbol's ticks. Whether it does is measured on each
   symbol and day. Where it does, a step of more than one is a hole, and its size is known to the tick.
3. *Totals* (`totals`, `reckoning`): a snapshot tells the volume V that the exchange has counted so far.

**Why a snapshot is read from two sides.** Nobody knows which trades a snapshot has counted: it travels separately from
the pushes, and either may be late. But it can't have counted a trade that was made after it came (*may*), and it has
counted all that were made 15 s before its own time (*must*). With the shares that we hold of these,

    V - may  ≤  shares missing  ≤  V - must          `least` and `most` in `exchange_totals`

A late snapshot has a smaller V, which only weakens the lower bound: it never makes a loss out of nothing. It would
spoil the upper bound, so one that is provably late bounds nothing from above, and a conclusion takes two in a row.
`least` is taken 15 s later, when what was under way has come; until then it is NULL.

**Example.** A symbol trades 100 shares at 10:00:00, :20, :40 and 10:01:00. The push of :20 is lost.

    snapshot at   V    own time   may  must   least to most
    10:00:10     100   10:00:00   100     0       0 to 100
    10:00:50     300   10:00:40   200   100     100 to 200     a gap: at least 100 shares
    10:01:50     400   10:01:00   300   200     100 to 200
    10:02:50     400   10:01:00   300   300     100 to 100     (other symbols were traded at 10:02:48) that is all

When a poll brings the tick of :20, `may` and `must` grow by 100, both bounds are 0, and the gap is filled. A test runs
this: `test_the_worked_example_has_its_numbers`.

**States**

    stream resumed ──► doubt ──► a window reaches back to before the outage          ──► dropped
                         ├─────► ordinals count: no hole                             ──► dropped
                         ├─────► ordinals count: a hole                              ──► gap (missing = n ticks)
                         ├─────► two snapshots: no more is missing than gaps tell    ──► dropped, and kept in `decided`
                         ├─────► a snapshot: more is missing than gaps tell          ──► gap (missing_volume ≥ v)
                         └─────► otherwise it stays: a doubt is never resolved by waiting

    gap: open ──► filled     by ordinals: none is missing in it any more
                             by totals: as much came into it as was missing, and two snapshots show no more

The **level** is what open gaps by totals tell to be missing; a loss is what `least` shows beyond it. A gap is never
deleted. At the end of the day the audit (`audit.weighing`) gives the verdict, from these rows and the last word of the
exchange.

**Who does what.** `judge`: which day a mark belongs to. `day`: one day's ledger. `book`: its rows. `reckoning`: what
snapshots show, and the gaps made of it. `totals`: the two bounds. `counting`: which types of ticks the exchange counts.
`ordinals`, `continuity`: sequences and windows. `filling`: gaps that are closed. `identity`: whether a fetched tick is
the one that was pushed. `premises`: what all this rests on, watched on every symbol. `clocks`: the exchange's time by
two clocks of three. `past`: totals of days before. `told`: a snapshot's parts. `docs/proof.md` has the foundations.
"""
