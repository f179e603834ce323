"""Files: written whole or not at all; those of users and of others read with care."""

from magdr_core.files.disk import read_regular, write_atomically

__all__ = ["read_regular", "write_atomically"]
