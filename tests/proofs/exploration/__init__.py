"""An exhaustive exploration of the procedure of one command against an adversarial service and network.

    python -m tests.proofs.exploration v3-full dispatch

Real parts. The generators are those of `lifecycle.command.CommandProcedure`, the journal is that of
`lifecycle.memory`. Neither is imitated: procedures.py and journals.py run the real ones, once for each place and each
result, and store the outcome, so that equal states are explored once.

Modelled parts. There is one task of one lifecycle, in any state, with a journal that knows this state, or has
recorded the task's creation, or has no record of the task. Worker A sends one command. Worker B does nothing, or
reads the status, or recovers, or abandons the open command, or sends the same command with the same idempotency key,
or sends any command of the lifecycle; it may begin at any time. Each effect of each worker is atomic, and all orders
are explored (successors.py). service.py lists the possible outcomes of a request and the spontaneous events:

* A request is delivered and gets a response, with or without a status; it is delivered and its response is lost; it is
  lost; it is late and arrives at any later time or never; it is doubled; it is rejected before it reaches the service
  (400, 401, 404, 429, no connection); it is accepted and applied later or never; or the service refuses it because of
  the task's state, by a 400 or by a 200 with the view unchanged.
* A read returns the present state, or a state that the task had since the last response to any worker (the service
  never contradicts a response to this journal); or the read is lost, or returns 401, 404 or, in some scenarios, an
  unknown status.
* A request begins when its worker can send it or at any later time. Its response counts from then, so that requests
  and records of other workers in between may be newer.
* Between any two effects a remote event happens, or an actor outside the journal sends a command.
* A worker crashes after any effect that changed something, before it receives the result.
* The lease of a living worker lapses and another worker claims its command; the first worker is then asleep.
* A pause is granted or denied.

At the end, if no worker is left and a command is open, worker C recovers with every lease lapsed. Requests in transit
may arrive before it begins; afterwards nothing fails.

Bounds. `Bounds` limits the surprises, remote events, foreign commands, crashes and lapses of one story, by kind and in
total. Without a bound the exploration would not end, because a network may lose every request. All stories within the
bounds are explored. An order that cannot matter is left out: only effects on the service observe spontaneous events, a
pause affects only its worker, and of two workers that do the same, worker A begins.

Equal states. Two generators are equal if they wait at the same place of the same functions and can still read equal
values (canonical.py, liveness.py). Versions and times are tokens that a procedure can return but not compare; the
exploration keeps their order. Messages for people are left out. A test compares the findings with those of an
exploration that merges no generators.

Size. scenarios.py has the bounds of `make test` (some 300,000 states, half a minute on two cores) and of
`make test-all` (some six million, six or seven minutes).

The oracle (oracle.py) knows what the service did and when, and does not know the procedure. `Violation` lists what must
never happen. `Unknowable` lists the facts that no client can know, however it is written, and what may therefore
happen; each is counted and shown with a shortest story, so that none is hidden:

* LATE: an outcome is recorded, and then a request in transit arrives: the network doubled it, its worker slept or
  crashed before it sent it, a stop abandoned the command, or the target was reached without it.
* COPY: the network doubles a request, and the service applies both copies.
* COPY_REFUSED: the network doubles a request, the service applies one copy, and the client receives the refusal of
  the other.
* UNDONE: an actor outside the journal undoes a command between two of its requests, and the second applies it again.
  Therefore a command is idempotent only if the service alone cannot undo it.
* IGNORED: the service returns 2xx to a command that only its response proves, and does nothing.
* SETTLED_MEANWHILE: a worker whose claim was taken returns that a command is uncertain, while another worker settles
  it at the same time.
* OPEN: a command stays open, because one of its requests may have arrived and it must not be sent again.
* SLEPT: a worker sleeps between its recorded attempt and its request, longer than its lease. The service does not know
  claims, so that nothing can stop the request; the other worker knows of the attempt.
"""
