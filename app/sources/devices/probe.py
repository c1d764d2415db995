"""What the prober's own process runs: asks file systems that may never answer.

It has a thread for each question. A question is a number, a space, a path, and a NUL; an answer is
a line: that number, and either what ``statvfs`` told or the number of an error. It imports nothing
of ours, so that it is small and there at once.
"""

import contextlib
import os
import threading


def serve(questions: int, answers: int) -> None:
    """Take questions from one descriptor, answer on another, until nobody asks any longer."""
    rest = b""
    while chunk := os.read(questions, 2**16):
        *whole, rest = (rest + chunk).split(b"\0")
        for question in whole:
            # Daemons, or one that hangs would hold up the end.
            threading.Thread(target=_answer, args=(question, answers), daemon=True).start()


def _answer(question: bytes, answers: int) -> None:
    number, _, path = question.decode(errors="surrogateescape").partition(" ")
    try:
        status = os.statvfs(path)
    except OSError as error:
        told = f"error {error.errno}"
    else:
        told = (
            f"{status.f_frsize} {status.f_blocks} {status.f_bfree} {status.f_bavail} "
            f"{status.f_files} {status.f_ffree}"
        )
    with contextlib.suppress(OSError):  # nobody waits for it any longer
        os.write(answers, f"{number} {told}\n".encode())
