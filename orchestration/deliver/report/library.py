"""The JavaScript that draws Vega-Lite charts, as vl-convert brings it, for use within a page."""

from importlib.metadata import version
from pathlib import Path

import vl_convert

from orchestration.deliver.charts import VEGA_LITE
from orchestration.deliver.files import write_whole

EXPOSED = "window.vegaEmbed = vegaEmbed;"
"""What of it the page's own script calls."""


def library(state_dir: Path) -> str:
    """Vega, Vega-Lite and vega-embed as one script, kept in `state_dir`: bundling takes seconds.

    Raises DeliveryError.
    """
    kept = state_dir / "report" / f"vega-{version('vl-convert-python')}-{VEGA_LITE}.js"
    try:
        return kept.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        script = within_a_page(vl_convert.javascript_bundle(EXPOSED, vl_version=VEGA_LITE))
    write_whole(kept, lambda file: file.write(script.encode()))
    for outdated in kept.parent.glob("vega-*.js"):
        if outdated != kept:
            outdated.unlink(missing_ok=True)
    return script


def within_a_page(script: str) -> str:
    """A script without what would end its element in HTML, or begin a comment there."""
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")
