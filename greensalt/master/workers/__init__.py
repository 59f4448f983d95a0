"""Worker processes: the work that needs a processor, done beside the master.

stamp        what a worker must agree on with its master: version and configuration
handover     a request and its answer, as they go through `workers.ipc`
elsewhere    the master's side: what is given away, and what remains to be done with the answer
process      the worker's side: one process with REP workers
supervisor   starts the `worker_processes` of a master and starts them again

A request arrives at the master, is decrypted and authenticated there, and only then given away,
with all that its answer needs: sessions, replay windows, serials and the store have one owner, and
a worker knows nothing that could be out of date.

Source: docs/architecture.md, "Worker processes".
"""
