"""Reads compiled SQL as Citus plans it: what stays within the shards, and what would gather whole tables.

A relation is in shards by a column, its key, or on the coordinator. Joins of relations in shards hold their keys, and
so do windows and `distinct on` over them; a query that groups by other columns has its groups on the coordinator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlglot
from sqlglot import exp

Keys = Mapping[str, str | None]
"""The key of each relation by name; None for one on the coordinator."""


@dataclass
class Reading:
    """The statements of one node, read; `shards` has the key of each table in shards by `schema.name`."""

    shards: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def query(self, query: Any, outer: Keys) -> str | None:
        """The key of what a query returns. Notes what goes beyond the shards."""
        known = dict(outer)
        for cte in query.args["with_"].expressions if query.args.get("with_") else []:
            key = self.query(cte.this, known)
            known[cte.alias] = None if cte.args.get("materialized") else key
        if isinstance(query, exp.Subquery):
            return self.query(query.this, known)
        if isinstance(query, exp.SetOperation):
            keys = {self.query(side, known) for side in (query.left, query.right)}
            return keys.pop() if len(keys) == 1 else None
        if not isinstance(query, exp.Select):
            return None
        return self._select(query, known)

    def _select(self, select: exp.Select, known: Keys) -> str | None:
        sources = {source.alias_or_name: self._source(source, known) for source in _sources(select)}
        sharded = {name: key for name, key in sources.items() if key is not None}
        self._nested(select, known, sharded)
        if not sharded:
            return None
        equal = [*_equalities(select)]
        linked = {next(iter(sharded))}
        while more := [
            name
            for name in sharded.keys() - linked
            if any({(name, sharded[name]), (other, sharded[other])} == pair for other in linked for pair in equal)
        ]:
            linked |= {*more}
        if apart := sharded.keys() - linked:
            self.problems.append(f"a join without the key: {', '.join(sorted(apart))} in: {_short(select)}")
        names = {*sharded.items()} | {("", key) for key in sharded.values()}
        for window in _own(select, exp.Window):
            parts = window.args.get("partition_by") or _named_window(select, window)
            if not any(_name(part) in names for part in parts):
                self.problems.append(f"a window without the key: {window.sql('postgres')}")
        group, distinct = select.args.get("group"), select.args.get("distinct")
        if distinct and distinct.args.get("on") and not any(_name(part) in names for part in distinct.args["on"]):
            self.problems.append(f"distinct on other columns than the key: {_short(select)}")
        if group and not any(_name(part) in names for part in group.expressions):
            return None
        if not group and any(not counted.find_ancestor(exp.Window) for counted in _own(select, exp.AggFunc)):
            return None
        return _returned(select, names)

    def _nested(self, select: exp.Select, known: Keys, sharded: Mapping[str, str]) -> None:
        """Subqueries in expressions: `exists` is a join; the result of another is sent to the shards."""
        for nested in _own(select, exp.Query):
            if _is_source(nested, select):
                continue
            inner: Any = nested.this if isinstance(nested, exp.Subquery) else nested
            if not isinstance(inner, exp.Select):
                continue
            self.query(inner, known)
            if isinstance(nested.parent, exp.Exists) and sharded:
                own = {source.alias_or_name: self._source(source, known, note=False) for source in _sources(inner)}
                for name, key in own.items():
                    pairs = [{(name, key or ""), (other, other_key)} for other, other_key in sharded.items()]
                    if key is not None and not any(pair in pairs for pair in _equalities(inner)):
                        self.problems.append(f"exists without the key: {name} in: {_short(inner)}")

    def _source(self, source: Any, known: Keys, note: bool = True) -> str | None:
        if isinstance(source, exp.Table):
            if not source.db:
                return known.get(source.name)
            return self.shards.get(f"{source.db}.{source.name}")
        if isinstance(source, exp.Subquery):
            return (self if note else Reading(self.shards)).query(source.this, known)
        return None


def problems(sql: str, shards: Mapping[str, str]) -> list[str]:
    """What in a node's compiled SQL goes beyond the shards."""
    reading = Reading(shards)
    # sqlglot drops it
    if re.search(r"\blimit all\b", sql):
        reading.problems.append("a limit, which gathers all it stands behind")
    for statement in sqlglot.parse(sql, dialect="postgres"):
        if isinstance(statement, exp.Query):
            reading.query(statement, {})
    return reading.problems


def _sources(select: exp.Select) -> Iterator[Any]:
    if begin := select.args.get("from_"):
        yield begin.this
    for join in select.args.get("joins") or []:
        yield join.this


def _is_source(nested: Any, select: exp.Select) -> bool:
    return any(nested is source or nested is source.this for source in _sources(select))


def _own(select: exp.Select, kind: type[Any]) -> Iterator[Any]:
    """The expressions of a kind in a select, not those in queries within it."""
    pending = [
        part
        for name, value in select.args.items()
        if name != "with_"
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, exp.Expression)
    ]
    while pending:
        part = pending.pop()
        if isinstance(part, kind):
            yield part
        if not isinstance(part, exp.Query):
            pending += part.iter_expressions()


def _equalities(select: exp.Select) -> Iterator[set[tuple[str, str]]]:
    """The pairs of columns, each with its relation, that a query says are equal."""
    for equal in _own(select, exp.EQ):
        sides = [side.expressions if isinstance(side, exp.Tuple) else [side] for side in (equal.this, equal.expression)]
        for left, right in zip(*sides, strict=False):
            if isinstance(left, exp.Column) and isinstance(right, exp.Column):
                yield {(left.table, left.name), (right.table, right.name)}
    for join in select.args.get("joins") or []:
        for column in join.args.get("using") or []:
            names = [source.alias_or_name for source in _sources(select)]
            yield from ({(one, column.name), (other, column.name)} for one in names for other in names if one != other)


def _named_window(select: exp.Select, window: Any) -> list[Any]:
    for named in select.args.get("windows") or []:
        if named.name == window.alias:
            return list(named.args.get("partition_by") or [])
    return []


def _name(part: Any) -> tuple[str, str]:
    return (part.table, part.name) if isinstance(part, exp.Column) else ("", "")


def _returned(select: exp.Select, names: set[tuple[str, str]]) -> str | None:
    for projection in select.expressions:
        column = projection.this if isinstance(projection, exp.Alias) else projection
        if isinstance(column, exp.Star):
            return sorted(key for name, key in names if not name)[0]
        if isinstance(column, exp.Column) and isinstance(column.this, exp.Star):
            if found := [key for name, key in names if name == column.table]:
                return found[0]
        elif isinstance(column, exp.Column) and _name(column) in names:
            return str(projection.alias_or_name)
    return None


def _short(query: Any) -> str:
    return str(query.sql("postgres"))[:200]
