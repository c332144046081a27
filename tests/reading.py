"""The report page as it is read in a browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

TALL = 1_000


@dataclass
class Reading:
    """The page open in a browser, drawn; at the end there must have been no complaint and no request."""

    browser: Browser
    file: Path
    width: int = 1_440
    scheme: Any = "light"
    scripts: bool = True
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> Reading:
        self.context: BrowserContext = self.browser.new_context(
            viewport={"width": self.width, "height": TALL}, color_scheme=self.scheme, java_script_enabled=self.scripts
        )
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(self.file.as_uri())
        if self.scripts:
            self.page.wait_for_selector("html[data-drawn]")
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.context.close()
        if kind is None:
            assert self.complaints == []
            assert [url for url in self.requests if not url.startswith("data:")] == [self.file.as_uri()]

    def choose(self, selector: str, value: str | None = None) -> None:
        """Choose an option, or click, and wait until all is drawn again."""
        self.page.evaluate("delete document.documentElement.dataset.drawn")
        if value is None:
            self.page.locator(selector).click()
        else:
            self.page.locator(selector).select_option(value)
        self.page.wait_for_selector("html[data-drawn]")

    def cells(self, rows: str) -> list[list[str]]:
        """The texts of the visible rows of a table."""
        script = "rows => rows.filter(r => r.checkVisibility()).map(r => [...r.cells].map(c => c.innerText))"
        found: list[list[str]] = self.page.locator(rows).evaluate_all(script)
        return found

    def line(self, chart: str) -> int:
        """How many points the line of a chart has."""
        path = self.page.locator(f'[data-chart="{chart}"] .mark-line path').first.get_attribute("d") or ""
        return path.count("L") + path.count("M")
