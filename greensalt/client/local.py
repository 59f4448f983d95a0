"""LocalClient: jobs for minions from a program on the master's host.

Its methods have the names, arguments and results of Salt's LocalClient.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from greensalt.client.findjob import FIND_JOB
from greensalt.client.jobclient import Arguments, Function, JobClient, Target
from greensalt.client.link import Result
from greensalt.client.proof import take_proof
from greensalt.errors import TargetError


class LocalClient(JobClient):
    """Salt's methods on top of JobClient, whose docstring explains the arguments.

    Keywords that a method does not name are options of the job. A minion that does not return is
    left out of a result, unless the method says otherwise.
    """

    def run_job(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        tgt_type: str = "glob",
        ret: str = "",
        timeout: float | None = None,  # noqa: ARG002  # Salt's signature
        jid: str = "",
        kwarg: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Publish a job: {"jid": ..., "minions": [...]}, or {} when no minion matches."""
        published = self.publish(
            tgt, fun, arg, tgt_type, ret=ret, jid=jid, kwarg=kwarg, options=kwargs
        )
        return {"jid": published.jid, "minions": published.minions} if published.jid else {}

    def cmd_async(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        tgt_type: str = "glob",
        ret: str = "",
        jid: str = "",
        kwarg: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> str:
        """Publish a job and return its jid, or "" when no minion matches."""
        return self.publish(
            tgt, fun, arg, tgt_type, ret=ret, jid=jid, kwarg=kwarg, options=kwargs
        ).jid

    def cmd(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        timeout: float | None = None,
        tgt_type: str = "glob",
        ret: str = "",
        jid: str = "",
        full_return: bool = False,
        kwarg: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run a job and return {minion id: result} of those that returned.

        With `full_return` a result is {"ret": ..., "retcode": ..., "jid": ...}.
        """
        results = self._results(
            tgt, fun, arg, tgt_type, timeout, ret=ret, jid=jid, kwarg=kwarg, options=kwargs
        )
        return {each.id: _full(each) if full_return else each.ret for each in results}

    def cmd_iter(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        timeout: float | None = None,
        tgt_type: str = "glob",
        ret: str = "",
        kwarg: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Yield {minion id: {"ret": ..., "retcode": ..., "jid": ...}} as results arrive.

        At the end {minion id: {"failed": True}} for each that did not return.
        """
        watch = self.start(
            tgt, fun, arg, tgt_type, timeout_s=timeout, ret=ret, kwarg=kwarg, options=kwargs
        )
        for result in watch:
            yield {result.id: _full(result)}
        for minion_id in sorted(watch.silent | set(watch.missing)):
            yield {minion_id: {"failed": True}}

    def cmd_iter_no_block(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        timeout: float | None = None,
        tgt_type: str = "glob",
        ret: str = "",
        kwarg: Mapping[str, Any] | None = None,
        show_jid: bool = False,  # noqa: ARG002  # Salt's signature
        verbose: bool = False,  # noqa: ARG002  # Salt's signature
        **kwargs: Any,
    ) -> Iterator[dict[str, Any] | None]:
        """As `cmd_iter`, with None at least ten times a second while there is nothing new."""
        watch = self.start(
            tgt, fun, arg, tgt_type, timeout_s=timeout, ret=ret, kwarg=kwarg, options=kwargs
        )
        try:
            while not watch.done:
                results = watch.step(0.1)
                for result in results:
                    yield {result.id: _full(result)}
                if not results:
                    yield None
        finally:
            watch.close()

    def cmd_full_return(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        timeout: float | None = None,
        tgt_type: str = "glob",
        ret: str = "",
        verbose: bool = False,  # noqa: ARG002  # Salt's signature
        kwarg: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> dict[str, dict[str, Any]]:
        """Run a job and return {minion id: {"ret": ..., "success": ..., "out": ...}}."""
        results = self._results(
            tgt, fun, arg, tgt_type, timeout, ret=ret, kwarg=kwarg, options=kwargs
        )
        return {each.id: {**_shown(each), "success": each.success} for each in results}

    def cmd_subset(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        tgt_type: str = "glob",
        ret: str = "",
        kwarg: Mapping[str, Any] | None = None,
        subset: int = 3,
        full_return: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run a job on `subset` random minions of the target, of those that have the function."""
        client = self.as_caller(take_proof(kwargs))
        chosen = client.choose(tgt, fun, tgt_type, subset)
        if not chosen:
            return {}
        return client.cmd(
            chosen, fun, arg, None, "list", ret, full_return=full_return, kwarg=kwarg, **kwargs
        )

    def choose(self, tgt: Target, fun: Function, tgt_type: str, count: int) -> list[str]:
        """At most `count` random minions of a target, of those that have the function."""
        wanted = {fun} if isinstance(fun, str) else set(fun)
        answers = self._results(tgt, "sys.list_functions", (), tgt_type, None, ask_silent=False)
        able = [
            each.id for each in answers if isinstance(each.ret, list) and wanted.issubset(each.ret)
        ]
        return sorted(random.sample(able, min(count, len(able))))

    def cmd_batch(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments = (),
        tgt_type: str = "glob",
        ret: str = "",
        kwarg: Mapping[str, Any] | None = None,
        batch: str | int = "10%",
        **kwargs: Any,
    ) -> Iterator[dict[str, Any]]:
        """Run a job on at most `batch` minions at a time (a number, or per cent of those up).

        Yields {minion id: result} as results arrive.
        """
        from greensalt.client.batch import Batch
        from greensalt.target.batchsize import batch_size

        batch_size(batch, 1)

        client = self.as_caller(take_proof(kwargs))
        try:
            led = client.batch(
                tgt, fun, arg, tgt_type, {"size": batch}, ret=ret, kwarg=kwarg, options=kwargs
            )
        except TargetError:  # nobody matches
            return
        if led is not None:
            for result in led:
                yield {result.id: result.ret}
            return
        run = Batch(
            client, tgt, fun, arg, tgt_type, ret=ret, kwarg=kwarg, size=batch, options=kwargs
        )
        for result in run:
            yield {result.id: result.ret}

    def get_cache_returns(self, jid: str) -> dict[str, dict[str, Any]]:
        """What has returned for a job so far: {minion id: {"ret": ..., "out": ...}}."""
        results = {}
        cursor, more = 0, True
        while more:
            page = self.link.follow(jid, cursor)
            results.update({each.id: _shown(each) for each in page.results})
            cursor, more = page.cursor, page.more
        return results

    def get_full_returns(
        self,
        jid: str,
        minions: Iterable[str],
        timeout: float | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Wait for `minions` to return for a job that was published before."""
        wanted = set(minions)
        results = {each.id: _shown(each) for each in self.follow(jid, timeout)}
        return {minion_id: shown for minion_id, shown in results.items() if minion_id in wanted}

    def gather_job_info(
        self, jid: str, tgt: Target, tgt_type: str, **kwargs: Any
    ) -> dict[str, Any]:
        """Publish the question whether the minions of a target run a job."""
        return self.run_job(tgt, FIND_JOB, [jid], tgt_type, **kwargs)

    def _results(
        self,
        tgt: Target,
        fun: Function,
        arg: Arguments,
        tgt_type: str,
        timeout_s: float | None,
        **more: Any,
    ) -> Iterator[Result]:
        yield from self.start(tgt, fun, arg, tgt_type, timeout_s=timeout_s, **more)


def _shown(result: Result) -> dict[str, Any]:
    return {"ret": result.ret, **({"out": result.out} if result.out else {})}


def _full(result: Result) -> dict[str, Any]:
    return {**_shown(result), "retcode": result.retcode, "jid": result.jid}
