"""`make report`: the report page from the marts as they are."""

import uuid
import webbrowser
from datetime import datetime, timezone

from orchestration import wiring
from orchestration.deliver.figures import read_figures
from orchestration.deliver.words import Words
from orchestration.errors import EXIT_DONE
from orchestration.settings import Settings
from orchestration.summary import RunSummary


def report(settings: Settings, open_it: bool) -> int:
    """Write the page, say where it is, and show it in the browser if `open_it`.

    Raises DeliveryError, StageError, WarehouseError.
    """
    warehouse = wiring.open_warehouse(settings)
    figures = read_figures(warehouse, settings.report_timezone)
    summary = RunSummary(
        run_id=uuid.uuid4().hex[:12],
        command="report",
        started_at=datetime.now(timezone.utc),
        demo=settings.api is None,
        log_file="",
        verdict=figures.verdict,
    )
    file = wiring.report_file(settings)
    delivery = file.deliver(figures, summary, wiring.links(settings), Words(settings.report_language))
    print(f"{delivery.target}: {delivery.detail}")
    if open_it and not webbrowser.open(file.path.absolute().as_uri()):
        print("No browser could be started here: open the file yourself.")
    return EXIT_DONE
