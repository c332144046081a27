"""dbt's `adapter` for sqlfluff, which renders models without dbt or a database: nothing is built yet."""


def get_relation(*arguments: object, **named: object) -> None:
    """No relation is there."""


def quote(name: str) -> str:
    """The name as PostgreSQL quotes it."""
    return f'"{name}"'
