"""Pages of a list, by the key of the row at the edge."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, or_

Edge = tuple[Any, str]


def in_page(
    columns: tuple[ColumnElement[Any], ColumnElement[Any]],
    after: Edge | None,
    before: Edge | None,
    descending: bool = False,
) -> Callable[[Select[Any]], Select[Any]]:
    """What makes a statement that of one page, sorted by `columns`, the second of which is unique.

    The page follows the row with the key `after`, or comes before that with `before`: then the rows
    are found the wrong way round, since those next to the edge are wanted.
    """
    first, second = columns

    def cut(statement: Select[Any]) -> Select[Any]:
        if edge := before or after:
            beyond = descending is (before is None)
            ahead = first < edge[0] if beyond else first > edge[0]
            beside = second < edge[1] if beyond else second > edge[1]
            statement = statement.where(or_(ahead, and_(first == edge[0], beside)))
        backwards = descending is not (before is not None)
        return statement.order_by(*(c.desc() if backwards else c for c in columns))

    return cut
