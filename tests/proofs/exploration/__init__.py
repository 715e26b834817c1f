"""An exhaustive exploration of the procedure of one command, against a service and a network that may do anything.

    python -m tests.proofs.exploration v3-full dispatch

What is real. The generators are those of `lifecycle.command.CommandProcedure`, the journal is that of
`lifecycle.memory`. Neither is imitated: procedures.py and journals.py run the real ones, once for each
place and each result, and remember what came of it, so that equal states are explored once.

What is modelled. One task of one lifecycle, in any state, with a journal that knows that state, or has seen the
task's creation, or has never seen the task. Worker A gives one command. Worker B does nothing, or reads the
status, or recovers, or gives the same command under the same idempotency key, or gives any command of the
lifecycle; it may begin at any time. Each effect of each worker takes place at once, in every order
(successors.py). What can become of a request, and what happens by itself, is in service.py:

* A request is delivered and answered, with or without a status; delivered, and its response is lost; lost;
  late, and arrives at any time after or never; doubled; turned away before it reaches the service (400,
  401, 404, 429, no connection); accepted and done later, or never; refused because of the task's state,
  by a 400 or by a 200 with the view unchanged.
* A read answers the present state, or one that the task had since the last response that any worker had (what
  the service has told this journal, it does not take back); or it is lost, or answered 401, 404 or, in some
  scenarios, with an unknown word.
* A request begins when its worker can send it or at any time after, and its response counts from then: what
  others ask and record meanwhile may be newer.
* Between any two effects the task moves by itself, or somebody outside of the journal gives a command.
* A worker crashes after any effect that changed something, before it knows the result.
* The lease of a living worker lapses, and another worker claims its command: a worker that does not move is asleep.
* A pause is granted or denied.

At the end, once no worker is left and a command is open, worker C recovers with every lease lapsed. Requests
that are under way may arrive before it begins; after that nothing goes wrong any more.

Bounds. `Bounds` says how many surprises, moves, commands of others, crashes and lapses one story may have,
of each kind and altogether. Without a bound there would be no end: a network may lose every request. All
stories within the bounds are explored. An order that cannot matter is left out: what happens by itself is
seen by effects of the service only, a pause concerns nobody but its worker, and of two workers that do the
same worker A begins.

Equal states. Two generators are equal if they wait at the same place of the same functions and can still read
equal values (canonical.py, liveness.py). Versions and times are tokens that a procedure can hand back and not
compare; their order is kept by the exploration. Messages for people are left out. A test compares the findings
with those of an exploration that merges no generators.

How large. scenarios.py has the bounds of `make test` (some 300,000 states, half a minute on two cores) and of
`make test-all` (some six million, six or seven minutes).

The oracle (oracle.py) knows what the service did and when, and nothing of the procedure. `Violation` lists
what must not happen. `Unknowable` lists what no client can know, however it is written, and what therefore
may happen; it is counted, and shown with a shortest story, so that nothing of it is hidden:

* LATE: an outcome is recorded, and then a request arrives that was under way: the network doubled it, its worker
  slept or crashed before it sent it, a stop abandoned the command, or the target was reached without it.
* COPY: the network doubles a request, and the service applies both copies.
* COPY_REFUSED: the network doubles a request, the service applies one copy, and the client hears the refusal of
  the other.
* UNDONE: somebody outside of the journal undoes a command between two of its requests, and the second does it
  again. That is why a command is idempotent only if the service alone cannot undo it.
* IGNORED: the service answers 2xx to a command that nothing but its response proves, and does nothing.
* SETTLED_MEANWHILE: a worker whose claim was taken returns that a command is uncertain, in the moment in which
  another worker settles it.
* OPEN: a command stays open, because a request of it may have arrived and it must not be sent again.
* SLEPT: a worker sleeps between its recorded attempt and its request, longer than its lease. The service does
  not know claims, so that nothing can stop the request; the other worker knows of the attempt.
"""
