"""The binary of this wheel, for programs in Python."""

import os
import shutil
import sysconfig


def find_binary() -> str:
    """The path of `optiinfra-dbctl`: that of this environment, else the first one on PATH."""
    beside = os.path.join(sysconfig.get_path("scripts"), "optiinfra-dbctl")
    found = beside if os.access(beside, os.X_OK) else shutil.which("optiinfra-dbctl")
    if found is None:
        raise FileNotFoundError(f"optiinfra-dbctl is neither in {os.path.dirname(beside)} nor on PATH")
    return found
