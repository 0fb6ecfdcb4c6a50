import errno
import os
import stat
import sys
import threading
import time

import pytest

from ncodec.errors import ArgumentError, LimitError
from ncodec.files import atomic_output, locked, same_file, spooled


def write(path, data=b"new", error=None, meanwhile=None, **options):
    before = path.read_bytes() if path.is_file() else None
    with atomic_output(path, **options) as file:
        file.write(data)
        assert (path.read_bytes() if path.is_file() else None) == before
        if meanwhile is not None:
            path.write_bytes(meanwhile)
        if error is not None:
            raise error


def test_whole_or_absent(tmp_path):
    path = tmp_path / "a"
    write(path)
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error):
            write(tmp_path / "b", error=error)
    assert os.listdir(tmp_path) == ["a"]


def test_nothing_is_overwritten_unless_asked(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(ArgumentError, match="exists already"):
        write(path)
    with pytest.raises(KeyboardInterrupt):
        write(path, error=KeyboardInterrupt, force=True)
    assert path.read_bytes() == b"old"
    write(path, force=True)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_file_that_comes_into_being_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(ArgumentError, match="exists already"):
        write(path, meanwhile=b"other")
    assert path.read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["a"]


def test_links_devices_folders_and_missing_folders(tmp_path):
    link, path = tmp_path / "link", tmp_path / "a"
    link.symlink_to(path)
    write(link)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    with atomic_output("/dev/null") as file:
        file.write(b"x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(ArgumentError, match="is a folder"):
        write(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nowhere'$"):
        write(tmp_path / "nowhere" / "a")


def test_spools_of_pipes(tmp_path):
    def piped(data):
        read, write = os.pipe()
        os.write(write, data)
        os.close(write)
        return os.fdopen(read, "rb")

    with piped(b"0123456789") as pipe, spooled(pipe, limit=10) as file:
        assert (file.seek(4), file.read()) == (4, b"456789")
    with (
        piped(bytes(11)) as pipe,
        pytest.raises(LimitError, match="more than 10"),
        spooled(pipe, limit=10),
    ):
        pass
    path = tmp_path / "a"
    path.write_bytes(b"x" * 11)
    with path.open("rb") as whole, spooled(whole, limit=10) as file:
        assert file is whole


class Console:
    """As msvcrt locks: a byte at the file's position, one holder."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self):
        self.held, self.calls = set(), 0

    def locking(self, handle, kind, count):
        where = os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR), count
        self.calls += 1
        if kind == self.LK_UNLCK:
            self.held.remove(where)
        elif where in self.held:
            raise OSError(errno.EDEADLK, "locked")
        else:
            self.held.add(where)


def test_locks_the_way_of_windows(tmp_path, monkeypatch):
    console = Console()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", console)
    monkeypatch.setattr("ncodec.files._LOCK_SECONDS", 0.001)
    path = tmp_path / "lock"
    path.write_bytes(b"not empty")
    entered = threading.Event()

    def second():
        with locked(path):
            entered.set()

    waiting = threading.Thread(target=second)
    with locked(path):
        with pytest.raises(OSError, match="locked"), locked(path, wait=False):
            pass
        before = console.calls
        waiting.start()
        while console.calls < before + 20:  # longer than the 10 tries of LK_LOCK
            time.sleep(0.001)
        assert not entered.is_set()
    waiting.join()
    assert entered.is_set()
    assert console.held == set()
    with locked(path, shared=True), locked(path, shared=True):
        assert console.held == set()


def test_same_file(tmp_path):
    path = tmp_path / "a"
    assert not same_file(path, path)
    path.touch()
    os.link(path, tmp_path / "b")
    assert same_file(path, tmp_path / "b")
    assert not same_file(path, "-")
