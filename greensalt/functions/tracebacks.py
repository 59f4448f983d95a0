"""What a function raised, in the words of Python, and no more than concerns its author."""

from __future__ import annotations

import traceback
from collections.abc import Collection


def traceback_from(error: BaseException, own_files: Collection[str]) -> str:
    """The traceback from the function on, without the frames that led to its call.

    `own_files` are parts of the paths of those.
    """
    frames = error.__traceback__
    start = frames
    while start is not None and any(
        part in start.tb_frame.f_code.co_filename for part in own_files
    ):
        start = start.tb_next
    return "".join(traceback.format_exception(type(error), error, start or frames))
