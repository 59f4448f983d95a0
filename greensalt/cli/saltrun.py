"""One run of greensalt-cli: which job, who returned, who did not, and what the exit code says."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any, Final

from greensalt.cli.main import EX_GENERIC, EX_OK
from greensalt.cli.saltarguments import Words, job_options, read_words, tgt_type
from greensalt.cli.saltauth import proof_of
from greensalt.cli.saltscreen import HINT, Screen, batch_status, look_up
from greensalt.client.jobclient import JobClient
from greensalt.errors import TargetError

if TYPE_CHECKING:
    from greensalt.client.batch import Batch
    from greensalt.client.link import Result
    from greensalt.client.masterbatch import MasterBatch
    from greensalt.client.watch import JobWatch
    from greensalt.config import ClientConfig

EX_NO_RETURN: Final = 2
NO_MINIONS: Final = "No minions matched the target. No command was sent, no jid was assigned."
NO_LEADER: Final = (
    "ERROR: the master leads no batches, so this command would have to: leave out --async"
)
STANDARD_REASON: Final = "Master could not resolve minions"
STEP_S: Final = 0.5


class Run:
    """Everything between the parsed command line and the exit code.

    `jid` is known from before the job is published, for `interrupted`.
    """

    def __init__(self, args: Namespace, config: ClientConfig) -> None:
        self._args = args
        self._words = read_words(args) if not args.follow else Words("", "", [])
        self._options = job_options(args)
        self._config = config
        client = JobClient(config=config)
        self._proof = proof_of(client, args)
        self._client = client.as_caller(self._proof)
        self._worst = 0
        self._returned = self._failed = 0
        self._screen = Screen(args, config)  # before any job: the output file may be unwritable
        self.jid = ""
        self._batch: Batch | None = None

    def close(self) -> None:
        self._client.close()
        self._screen.close()

    def interrupted(self) -> None:
        """Tell somebody who pressed Ctrl-C how to find the job again."""
        self._screen.note("\nExiting gracefully on Ctrl-c")
        jid = self.jid or (self._batch.jid if self._batch else "")
        if jid:
            self._screen.note(f"This job's jid is: {jid}\n{HINT}\n\n{look_up(jid)}")

    # -- kinds of runs -----------------------------------------------------------------------

    def watch(self) -> int:
        """Publish the job and show its results."""
        tgt, kind = self._target()
        watch = self._start(tgt, kind)
        if not watch.jid:
            return self._nobody(watch.error)
        self._announce()
        try:
            while not watch.done:
                self._screen.progress.update(len(watch.returned), len(watch.minions))
                for result in watch.step(STEP_S):
                    self._take(result)
        finally:
            watch.close()
        return self._end(watch.silent.union(watch.missing), len(watch.minions))

    def leave(self) -> int:
        """Publish the job and tell its jid."""
        tgt, kind = self._target()
        published = self._client.publish(
            tgt,
            self._words.fun,
            self._words.args,
            kind,
            ret=self._args.returner,
            options=self._options,
        )
        if not published.jid:
            return self._nobody(published.error)
        self._screen.line(f"Executed command with job ID: {published.jid}")
        return EX_OK

    def follow(self) -> int:
        """Show the results of a job, or of a batch, that was begun before."""
        self.jid = self._args.follow
        batch = self._client.batch_of(self.jid)
        if batch is not None:
            return self._follow_batch(batch)
        watch = self._client.follow(self.jid, self._args.timeout)
        for result in watch:
            self._take(result)
        if not watch.minions:
            self._screen.note(f"ERROR: the master has no job {self.jid}")
            return EX_NO_RETURN
        return self._end(watch.silent.union(watch.missing), len(watch.minions))

    def documentation(self) -> int:
        """Merge what the minions know about functions."""
        docs: dict[str, Any] = {}
        watch = self._start(self._words.tgt, tgt_type(self._args))
        if not watch.jid:
            self._screen.line(NO_MINIONS)
            self._screen.note("No minions found to gather docs from")
            return EX_NO_RETURN
        for result in watch:
            if isinstance(result.ret, dict):
                docs.update(result.ret)
            else:
                self._screen.note(f"{result.id}: {result.ret}")
        self._screen.documentation(docs)
        return EX_OK

    def batch(self) -> int:
        """Run the job on some minions at a time; the master leads, if it can."""
        tgt, kind = self._target()
        try:
            led = self._begin_batch(tgt, kind)
        except TargetError as error:
            return self._nobody(str(error))
        if led is None:
            return self._lead_batch(tgt, kind)
        self.jid = led.jid
        self._announce()
        return self._follow_batch(led)

    def leave_batch(self) -> int:
        """Have the master begin a batch and tell its jid."""
        try:
            led = self._begin_batch(*self._target())
        except TargetError as error:
            return self._nobody(str(error))
        if led is None:
            self._screen.note(NO_LEADER)
            return EX_GENERIC
        what = "command" if self._is_at_once(led) else "batch command"
        self._screen.line(f"Executed {what} with job ID: {led.jid}")
        self._screen.note(f"{look_up(led.jid)}\n{batch_status(led.jid)}")
        return EX_OK

    def _begin_batch(self, tgt: str | list[str], kind: str) -> MasterBatch | None:
        """Have the master begin; None if it leads no batches."""
        args = self._args
        wanted = {
            "size": args.batch,
            "wait": self._config.batch_wait if args.batch_wait is None else args.batch_wait,
            "failhard": args.failhard,
            "timeout": self._config.timeout if args.timeout is None else args.timeout,
            "safe_limit": args.batch_safe_limit,
            "safe_size": args.batch_safe_size,
        }
        return self._client.batch(
            tgt,
            self._words.fun,
            self._words.args,
            kind,
            wanted,
            ret=args.returner,
            options=self._options,
        )

    def _is_at_once(self, batch: MasterBatch) -> bool:
        """Whether there were too few minions for a batch."""
        return self._args.batch is None and batch.status.get("size") == "100%"

    def _follow_batch(self, batch: MasterBatch) -> int:
        """Show the results of a batch that the master leads."""
        told: set[str] = set()
        batch.on_status = lambda: self._tell_steps(batch, told)
        for result in batch:
            self._take(result)
        if not batch.count("minions"):
            return self._nobody("")
        if batch.state == "halted":
            self._screen.note("Batch run stopped due to failhard")
        if batch.state == "stopped":
            self._screen.note(f"Batch {batch.jid} was stopped")
        if unsent := batch.names("waiting"):
            self._screen.note(f"No job was sent to: {', '.join(unsent)}{_others(batch, 'waiting')}")
        silent, others = set(batch.names("silent")), _others(batch, "silent")
        if others:
            self._screen.note(f"No return from {len(silent)} minions{others}")
        code = self._end(silent, batch.count("minions"), extra=batch.count("down"))
        return self._worst or code

    def _tell_steps(self, batch: MasterBatch, told: set[str]) -> None:
        """Name who is down and who begins, unless they have been `told` already."""
        down = batch.names("down")
        for minion_id in down:
            if minion_id not in told:
                told.add(minion_id)
                self._screen.note(f"Minion {minion_id} did not respond. No job will be sent.")
        if (others := _others(batch, "down")) and others not in told:
            told.add(others)
            self._screen.note(f"{len(down)} minions{others} did not respond.")
        if self._is_at_once(batch):
            return
        for step in batch.status.get("steps") or []:
            if told.isdisjoint(step):
                self._screen.note(f"\nExecuting run on {step}\n")
            told.update(step)

    def _lead_batch(self, tgt: str | list[str], kind: str) -> int:
        """Lead the batch from here, for a master that leads none."""
        from greensalt.client.batch import Batch

        args = self._args
        size = args.batch if args.batch is not None else args.batch_safe_size
        batch = self._batch = Batch(
            self._client,
            tgt,
            self._words.fun,
            self._words.args,
            kind,
            size=size,
            ret=args.returner,
            options=self._options,
            timeout_s=args.timeout,
            wait_s=self._config.batch_wait if args.batch_wait is None else args.batch_wait,
            failhard=args.failhard,
            on_start=lambda minions: self._screen.note(f"\nExecuting run on {minions}\n"),
        )
        batch.find_minions()
        if args.batch is None and len(batch.up) + len(batch.down) < args.batch_safe_limit:
            return self.watch()
        for minion_id in batch.down:
            self._screen.note(f"Minion {minion_id} did not respond. No job will be sent.")
        return self._run_batch(batch)

    # -- inside ------------------------------------------------------------------------------

    def _start(self, tgt: str | list[str], kind: str) -> JobWatch:
        self.jid = self._client.valid_jid()
        watch = self._client.start(
            tgt,
            self._words.fun,
            self._words.args,
            kind,
            jid=self.jid,
            timeout_s=self._args.timeout,
            ret=self._args.returner,
            options=self._options,
        )
        if self._args.verbose:
            watch.on_running = lambda minion_id: self._screen.note(
                f"Execution is still running on {minion_id}"
            )
        return watch

    def _run_batch(self, batch: Batch) -> int:
        for result in batch:
            self.jid = batch.jid
            self._take(result)
        if not batch.up:
            return self._nobody("")
        if batch.stopped:
            self._screen.note("Batch run stopped due to failhard")
            if batch.unsent:
                self._screen.note(f"No job was sent to: {', '.join(batch.unsent)}")
        code = self._end(batch.silent, len(batch.up), extra=len(batch.down))
        return self._worst or code

    def _target(self) -> tuple[str | list[str], str]:
        """The target and its type; with --subset the minions that were drawn from it."""
        tgt, kind = self._words.tgt, tgt_type(self._args)
        if not self._args.subset:
            return tgt, kind
        from greensalt.client.local import LocalClient

        with LocalClient(config=self._config) as local:
            client = local.as_caller(self._proof)
            return client.choose(tgt, self._words.fun, kind, self._args.subset), "list"

    def _announce(self) -> None:
        if self._args.verbose:
            text = f"Executing job with jid {self.jid}"
            self._screen.line(f"{text}\n{'-' * len(text)}\n")
        elif self._args.show_jid or self._config.show_jid:
            self._screen.line(f"jid: {self.jid}")

    def _take(self, result: Result) -> None:
        self._returned += 1
        if result.failed:
            self._failed += 1
            self._worst = max(self._worst, result.retcode, 1)
        self._screen.result(result)

    def _end(self, missing: set[str], targeted: int, extra: int = 0) -> int:
        """Name who did not return; the exit code. `extra` minions were targeted, but down."""
        hidden = self._args.hide_timeout or not (
            self._config.show_timeout or self._args.show_timeout
        )
        self._screen.finish()
        if not hidden:
            for minion_id in sorted(missing):
                self._screen.no_return(minion_id, self.jid)
        if self._args.summary:
            total = len(missing) + self._returned + extra
            self._screen.summary(max(total, targeted), self._returned, self._failed)
        if not self._returned and hidden:
            return self._no_return()
        if self._failed or extra or (missing and not hidden):
            self._screen.note("ERROR: Minions returned with non-zero exit code")
            return EX_GENERIC
        return EX_OK

    def _nobody(self, reason: str) -> int:
        """No minion was asked; `reason` is the master's."""
        print(NO_MINIONS)
        if reason and not reason.startswith(STANDARD_REASON):
            self._screen.note(f"ERROR: {reason}")
        return self._no_return()

    def _no_return(self) -> int:
        self._screen.note("ERROR: No return received")
        return EX_NO_RETURN


def _others(batch: MasterBatch, key: str) -> str:
    """How many the master did not name: of thousands it names the first ones only."""
    others = batch.count(key) - len(batch.names(key))
    return f" and {others} others ({batch_status(batch.jid)} names=True)" if others > 0 else ""
