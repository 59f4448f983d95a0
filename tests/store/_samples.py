"""Jobs and returns as the master would hand them to a store."""

from __future__ import annotations

from typing import Any

from greensalt.store.jobs import Job, Return


def a_job(jid: str, **fields: Any) -> Job:
    load = {"cmd": "publish", "fun": "test.ping", "arg": [], "tgt": "*", "tgt_type": "glob"}
    job = Job(
        jid=jid,
        fun=load["fun"],  # type: ignore[arg-type]
        arg=load["arg"],  # type: ignore[arg-type]
        tgt=load["tgt"],
        tgt_type=load["tgt_type"],  # type: ignore[arg-type]
        user="root",
        minions=["alpha", "beta"],
        missing=[],
        load=load,
        started=1_000_000.0,
    )
    return job._replace(**fields)


def a_return(jid: str, minion_id: str, value: Any = True, **fields: Any) -> Return:
    load = {
        "cmd": "_return",
        "id": minion_id,
        "jid": jid,
        "fun": "test.ping",
        "return": value,
        "retcode": 0,
        "success": True,
    }
    ret = Return(
        seq=0,
        jid=jid,
        id=minion_id,
        fun="test.ping",
        ret=value,
        retcode=0,
        success=True,
        received=1_000_001.0,
        load=load,
    )
    return ret._replace(**fields)
