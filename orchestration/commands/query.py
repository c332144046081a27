"""`make query`: metrics over any period, course, task or type of attempt, by the semantic layer."""

from orchestration import wiring
from orchestration.build import semantic_layer
from orchestration.build.dbt import Dbt
from orchestration.commands.metrics import assert_built
from orchestration.errors import EXIT_DONE
from orchestration.settings import Settings


def query(settings: Settings, arguments: list[str]) -> int:
    """Pass the arguments on to `mf query`; without any, list the metrics. Raises StageError, WarehouseError."""
    warehouse = wiring.open_warehouse(settings)
    dbt = Dbt(warehouse, settings.report_timezone, settings.state_dir)
    if not arguments:
        for name, description in semantic_layer.metrics(dbt).items():
            print(f"{name:30} {description}")
        print("By: metric_time__day, __week, __month, __quarter, __year, course_key, task_id, attempt_type")
        return EXIT_DONE
    with warehouse.session() as cursor:
        assert_built(cursor, warehouse)
    return semantic_layer.query(dbt, arguments)
