"""A whole rule set in shadow beside the active one, on live traffic.

    service --decisions as kept--> Beside --looks--> Following, in a process of its own --> tables of its own --> report

The candidate decides what the active set decides: the same case, the same facts, the same instant, the same answers of people;
and besides at the instants at which it would act by itself. What it would send is sent nowhere: there is no connector and no
outbox on this side. What is taken for granted of such an effect:

- It leaves when it is due by the candidate's own cadence, and is asked for once more at that instant, as any effect is.
- Where the active set's effect of the same key was sent, it ends as that one did, refusals, retries and waits included. While
  that one is on its way, it is waited for.
- Where the active set has sent none, it is taken to go well at once. If the active set sends one later, that end is taken over.
- Refunds that came of the active set's effects are not seen by the candidate until it has sent the same effect itself.
- Everything else is as the world went on with what the active set really did.

A wake-up of the candidate is taken together with a look of the active set that follows within a minute, or that was meant for the
same minute and came late: two sets that want the same do it at the same instant. Instants are told to the minute.
"""
