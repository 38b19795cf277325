"""The command's standard streams: what becomes of its words never decides what becomes of a load.

A stream may be closed (`>&-`), its reader gone (`| head`), its disk full (a log in cron), or too poor in letters (ASCII).
What a stream does not take is dropped, and of standard output it is known afterwards: whoever waits for facts is to learn
that they were lost.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_INPUT, _OUTPUT, _ERROR = 0, 1, 2


class _PatientFile(io.FileIO):
    """A file that drops what it cannot take, and keeps the first reason for it."""

    refusal: OSError | None = None

    def write(self, data: "ReadableBuffer") -> int:
        """Write what can be written; say that it was all."""
        try:
            written = super().write(data)
        except OSError as error:
            self.refusal = self.refusal or error
            written = None
        # None: a pipe that is full and does not wait.
        return memoryview(data).nbytes if written is None else written


def patient(descriptor: int, like: TextIO | None, *, closes: bool = True) -> TextIO:
    """Return a stream on a descriptor that takes everything; its encoding is that of `like`."""
    errors = "strict" if like is None or like.errors is None else like.errors
    return io.TextIOWrapper(
        io.BufferedWriter(_PatientFile(descriptor, "w", closefd=closes)),
        encoding="utf-8" if like is None else like.encoding,
        errors="backslashreplace" if errors == "strict" else errors,
        line_buffering=True,
    )


def take_over() -> None:
    """Put patient streams in the place of standard output and error, closed ones on /dev/null.

    Nothing else may come to stand where a standard stream was closed: a file that is opened next would get its words.
    """
    for descriptor in (_INPUT, _OUTPUT, _ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free: this one.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = patient(_OUTPUT, sys.stdout, closes=False)
    sys.stderr = patient(_ERROR, sys.stderr, closes=False)


def lost_words() -> OSError | None:
    """Return why standard output did not take all that was said; None where it did, or its reader had enough."""
    sys.stdout.flush()
    file = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    refusal = file.refusal if isinstance(file, _PatientFile) else None
    return None if isinstance(refusal, BrokenPipeError) else refusal
