"""Errors that a user can act on."""

from __future__ import annotations


class InputError(Exception):
    """Something the user gave is wrong; says which file, record and field.

    Args:
        problem: what is wrong and what was expected.
        file: the file (never an absolute path), if any.
        record: the row, case or key within it, if any.
        field: the field within the record, if any.
    """

    def __init__(
        self,
        problem: str,
        *,
        file: object = None,
        record: object = None,
        field: object = None,
    ) -> None:
        self.problem, self.file, self.record, self.field = problem, file, record, field
        places = (("file", file), ("record", record), ("field", field))
        where = ", ".join(f"{name} {value}" for name, value in places if value is not None)
        super().__init__(f"{where}: {problem}" if where else problem)
