"""The loss ledger: what is concluded while a day is recorded. Theory of operation.

A lost push leaves no trace of its own. The evidence of it arrives at other times and by other ways, and each kind of
evidence can be wrong in its own way. The ledger turns it into rows of the day's database:

- a **doubt** is an interruption in which something *may* be missing;
- a **gap** is a range of one symbol in which something *is* missing, with how much and how that is known.

The journal is read in order, once. `judge` takes each **mark** between the ticks (an event of the session, a window, a
snapshot) to the ledger of its day (`day`), which writes in the same transaction as the ticks. So the same journal gives
the same conclusions, however it was cut into batches, and a replay changes nothing.

**Evidence**

1. *Windows* (`continuity`): a reply of GetTicker has OpenD's newest ticks of a symbol, without a hole. A window that
   reaches back to the last tick before an outage proves that nothing is missing, if OpenD itself kept its source.
2. *Ordinals* (`ordinals`): the low half of a sequence may count a symbol's ticks. Whether it does is measured on each
   symbol and day. Where it does, a step of more than one is a hole, and the number of missing ticks is known exactly.
3. *Totals* (`totals`, `reckoning`): a snapshot has the volume V that the exchange has counted so far.

**Why a snapshot gives two bounds.** It is not known which trades a snapshot has counted: it travels separately from
the pushes, and either may be late. But it can't have counted a trade that was made after it came, and it has counted
all trades made 15 s before its own time. Let *may* be the shares that are stored of what it may have counted, and
*must* the shares that are stored of what it must have counted. Then

    V - may  ≤  shares missing  ≤  V - must          `least` and `most` in `exchange_totals`

A late snapshot has a smaller V. That only weakens the lower bound: it never makes a loss out of nothing. It would
spoil the upper bound. So a snapshot that is provably late gives no upper bound, and a conclusion from upper bounds
takes two snapshots in a row. `least` is computed 15 s later, when the ticks that were under way have come; until then
it is NULL.

**Example.** A symbol trades 100 shares at 10:00:00, :20, :40 and 10:01:00. The push of :20 is lost.

    snapshot at   V    own time   may  must   least to most
    10:00:10     100   10:00:00   100     0       0 to 100
    10:00:50     300   10:00:40   200   100     100 to 200     a gap: at least 100 shares
    10:01:50     400   10:01:00   300   200     100 to 200
    10:02:50     400   10:01:00   300   300     100 to 100     (other symbols traded at 10:02:48) that is all

When a poll brings the tick of :20, `may` and `must` grow by 100, both bounds are 0, and the gap is filled. A test runs
this: `test_the_worked_example_has_its_numbers`.

**States**

    stream resumed ──► doubt ──► a window reaches back to before the outage          ──► dropped
                         ├─────► ordinals count: no hole                             ──► dropped
                         ├─────► ordinals count: a hole                              ──► gap (missing = n ticks)
                         ├─────► two snapshots: no more is missing than gaps report  ──► dropped, and kept in `decided`
                         ├─────► a snapshot: more is missing than gaps report        ──► gap (missing_volume ≥ v)
                         └─────► otherwise it stays: a doubt is never resolved by waiting

    no interruption ──► ordinals count: a hole, or a snapshot: more is missing than gaps tell  ──► gap (cause unknown)

    gap: open ──► filled     by ordinals: none is missing in it any more
                             by totals: as much came into it as was missing, and two snapshots show no more

The **level** is the number of shares that open gaps by totals report as still missing. A new loss is what `least` shows
beyond the level. A gap is never deleted. At the end of the day the audit (`audit.weighing`) gives the verdict, from
these rows and the last word of the exchange.

**Modules.** `judge`: which day a mark belongs to. `day`: one day's ledger. `book`: its doubts and gaps. `reckoning`:
what snapshots show, and the gaps made of it. `totals`: the two bounds. `counting`: which types of ticks the exchange
counts. `ordinals`, `continuity`: sequences and windows. `filling`: which gaps are filled. `identity`: whether a fetched
tick has the sequence under which it was pushed. `premises`: what all this rests on, watched on every symbol. `clocks`:
the exchange's time by two clocks of three. `past`: totals of earlier days. `told`: reading a snapshot reply. `rows`:
the types. `docs/proof.md` has the foundations.
"""
