"""The tables of the SQLite store, and the opening of its file.

A value with structure is one blob in the files' msgpack dialect; a column of its own has only what
is searched for. Rows are appended in the order of arrival: what is written together lies together.

`returns` has two indexes: (job, id) makes a second return of a minion impossible and answers
"did this minion return for this job"; (job), which ends in the rowid, is the cursor. The index by
minion is `by_minion`: see store/byminion.py. Version 2 of the tables has it; a file of version 1 is
taken over as it is, and its returns are entered a little at a time.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final, Literal

from greensalt.errors import StoreError

Sync = Literal["full", "normal"]
"""full: a commit outlives a power failure. normal: it outlives a crash of the process; after a
power failure the newest commits may be missing, but what is left is whole."""

APPLICATION_ID: Final = 0x67736C74  # "gslt"
VERSION: Final = 2

WRITER_CACHE_KIB: Final = 8192
READER_CACHE_KIB: Final = 4096
WAL_LIMIT_BYTES: Final = 16 << 20  # what is left of the log once it has been copied back

TABLES: Final = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS jobs (
    num INTEGER PRIMARY KEY AUTOINCREMENT,
    jid TEXT NOT NULL UNIQUE,
    user TEXT NOT NULL,
    started REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_time ON jobs (started);
CREATE INDEX IF NOT EXISTS jobs_by_user ON jobs (user, started);
CREATE TABLE IF NOT EXISTS functions (
    fun TEXT NOT NULL,
    started REAL NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (fun, started, job)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS functions_by_job ON functions (job);
CREATE TABLE IF NOT EXISTS expected (
    num INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS expected_by_job ON expected (job);
CREATE TABLE IF NOT EXISTS returns (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL,
    id TEXT NOT NULL,
    received REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS returns_by_minion ON returns (job, id);
CREATE INDEX IF NOT EXISTS returns_by_job ON returns (job);
CREATE TABLE IF NOT EXISTS names (num INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS by_minion (
    minion INTEGER NOT NULL,
    started REAL NOT NULL,
    job INTEGER NOT NULL,
    PRIMARY KEY (minion, started, job)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settled (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    upto INTEGER NOT NULL,
    swept INTEGER NOT NULL
);
INSERT OR IGNORE INTO settled (one, upto, swept) VALUES (1, 0, 0);
CREATE TABLE IF NOT EXISTS doomed (job INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS minions (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    grains BLOB NOT NULL,
    pillar BLOB
);
CREATE TABLE IF NOT EXISTS mine (
    num INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    fun TEXT NOT NULL,
    value BLOB NOT NULL,
    UNIQUE (id, fun)
);
CREATE INDEX IF NOT EXISTS mine_by_function ON mine (fun, id);
PRAGMA user_version = 2;
PRAGMA application_id = 1735617652;
COMMIT;
"""


def connect_writer(
    path: Path, sync: Sync, busy_timeout_s: float, tables: str = TABLES
) -> sqlite3.Connection:
    """Open the file for writing; a new one is made, readable for its owner alone, with `tables`.

    Raises StoreError for a file that is none of ours, sqlite3.Error or OSError for one that can't
    be used.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = _connect(path, busy_timeout_s, WRITER_CACHE_KIB)
    try:
        _prepare(connection, path, tables)
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if sync == 'normal' else 'FULL'}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Open a file that a writer has prepared, for reading only."""
    connection = _connect(path, busy_timeout_s, READER_CACHE_KIB)
    connection.execute("PRAGMA query_only = ON")
    return connection


def damaged(path: Path, reason: object) -> StoreError:
    """Say which file is damaged and what helps; nothing is thrown away by itself."""
    return StoreError(
        f"{path} is damaged or not a database ({reason}). Move it away, together with "
        f"{path.name}-wal and {path.name}-shm, and start again with an empty store; "
        f"`sqlite3 {path} .recover` may save what is in it."
    )


def _connect(path: Path, busy_timeout_s: float, cache_kib: int) -> sqlite3.Connection:
    # Without isolation_level Python begins no transactions by itself. The thread check would
    # forbid a connection to outlive the native thread that opened it.
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, tables: str) -> None:
    version = _number(connection, "PRAGMA user_version")
    owner = _number(connection, "PRAGMA application_id")
    present = _number(connection, "SELECT count(*) FROM sqlite_master")
    if (owner, version) == (0, 0) and present == 0:
        # Only a file without tables takes it: freed pages can then be given back to the disk.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    elif owner != APPLICATION_ID:
        raise StoreError(f"{path} is the database of some other program; it is left untouched")
    elif version > VERSION:
        raise StoreError(
            f"{path} was written by a newer greensalt (version {version} of the tables, this one "
            f"knows {VERSION}): run that one, or move the file away"
        )
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(f"{path}: the file system can't do write-ahead logs (mode is {mode})")
    if version < VERSION:
        connection.executescript(tables)


def _number(connection: sqlite3.Connection, question: str) -> int:
    number: int = connection.execute(question).fetchone()[0]
    return number
