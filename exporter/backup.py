"""A copy of the ledger as it is at one moment, made while an exporter writes into it.

SQLite's online backup copies all pages within one read transaction; in WAL mode that waits for nobody, and nobody waits
for it. The copy gets its name when it is whole, checked and on the disk. Until then a file stands in its place that no
exporter takes for a ledger.
"""

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from exporter.ledger import StorageError

INCOMPLETE = b"a backup of the ledger of dserver-exporter that was not finished\n"


def back_up(storage: Path, target: Path) -> int:
    """Write a copy of the ledger in the folder ``storage`` to the new file ``target``; return its length in bytes.

    Raises StorageError: there is no ledger, it is damaged, or the file exists or cannot be written.
    """
    file = storage / "ledger.db"
    if not file.exists():
        raise StorageError(f"there is no ledger in {storage}: name the exporter's folder with --storage.path=")
    try:
        with open(target, "xb", opener=_private) as place:
            place.write(INCOMPLETE)
    except FileExistsError:
        raise StorageError(f"{target} exists, and no backup is overwritten: name another file") from None
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from error
    try:
        return _write(file, target)
    except sqlite3.Error as error:
        raise StorageError(
            f"the ledger {file} cannot be copied to {target}: {error}: run this as the exporter's user, see that there "
            "is room, and whether the exporter can still use its ledger (its log says)"
        ) from error
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from error


def _write(file: Path, target: Path) -> int:
    descriptor, name = tempfile.mkstemp(
        prefix=f".{target.name[:100]}.", dir=target.parent
    )  # readable by its owner only
    try:
        _copy(file, name)
        os.fsync(descriptor)
        length = os.fstat(descriptor).st_size
        Path(name).replace(target)
    except BaseException:
        for unfinished in (Path(name), target):
            unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return length


def _copy(file: Path, name: str) -> None:
    with (
        contextlib.closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as ledger,
        contextlib.closing(sqlite3.connect(name)) as copy,
    ):
        ledger.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, which needs no other beside it
        [(verdict,), *_] = copy.execute("PRAGMA integrity_check")
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"the copy is damaged: {verdict}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
