"""TensorBoard's own server, in this process."""

import os
from collections.abc import Sequence


def serve(flags: Sequence[str]) -> str:
    """Start TensorBoard in threads of this process with command-line `flags`, and return its URL once it listens.

    It ends with the process, and its data server, which reads this process's pipe, with it.  Raises OSError when it
    cannot listen.
    """
    import contextlib
    import logging
    import mimetypes

    from tensorboard import program

    mimetypes.add_type(
        "text/javascript", ".js"
    )  # some Windows registries say text/plain, and then the page stays blank
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    server = program.TensorBoard()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # its notes on how it loads data
        server.configure(["lab board", *flags])
        try:
            return str(server.launch())
        except program.TensorBoardServerException as error:
            raise OSError(error.msg) from None
