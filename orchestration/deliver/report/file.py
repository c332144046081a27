"""The report page as a file."""

from pathlib import Path

from orchestration.deliver import Links
from orchestration.deliver.figures import Figures
from orchestration.deliver.files import check_writable, write_whole
from orchestration.deliver.report.library import library
from orchestration.deliver.report.page import build_page
from orchestration.deliver.words import Words
from orchestration.summary import Delivery, RunSummary


class ReportFile:
    """Writes the report page to `path`; what is slow to make is kept in `state_dir`."""

    name = "Report"

    def __init__(self, path: Path, state_dir: Path) -> None:
        self.path, self.state_dir = path, state_dir
        self.target = str(path)

    def deliver(self, figures: Figures, summary: RunSummary, links: Links, words: Words) -> Delivery:
        """Write the page. Raises DeliveryError."""
        page = build_page(figures, summary, links, words, library(self.state_dir)).encode()
        write_whole(self.path, lambda file: file.write(page))
        size = words.decimal(len(page) / 1_000_000)
        return Delivery(self.name, True, self.target, words.text("one page of {size} MB written", size=size))

    def check(self) -> str:
        """Whether the page could be written, in words. Raises DeliveryError."""
        check_writable(self.path.parent, "the report")
        return f"{self.path} can be written"
