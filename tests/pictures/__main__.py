"""The pictures of the README, made from the demo: mail, report and workbook, in both languages.

Needs Chromium, LibreOffice and pdftoppm (Debian's chromium, libreoffice-calc, poppler-utils).
"""

from __future__ import annotations

import base64
import email
import email.policy
import io
import os
import shutil
import subprocess
import sys
import tempfile
from email.message import EmailMessage
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from orchestration.settings import LANGUAGES, ROOT

FOLDER = ROOT / "docs" / "pictures"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 900, 1_000
"""Of each picture, in pixels: three stand side by side."""


def main() -> None:
    """Run the demo in folders of its own and look at what came."""
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=program(*CHROMIUMS), args=["--no-sandbox"])
        for language in LANGUAGES:
            out = Path(folder, language)
            places = {name: str(out / name) for name in ("STATE_DIR", "LOG_DIR")}
            settings = {**places, "OUT_DIR": str(out), "REPORT_LANGUAGE": language}
            for command in ("run", "db-stop"):
                words = [sys.executable, "-m", "orchestration", command]
                subprocess.run(words, env=os.environ | settings, cwd=ROOT, check=True, capture_output=True)
            ending = ".png" if language == "en" else f".{language}.png"
            save(mail(browser, out), "mail" + ending)
            save(page(browser, out / "report.html", 1_200), "report" + ending)
            save(workbook(out), "workbook" + ending)
        browser.close()


def program(*names: str) -> str:
    """The first of these programs that there is."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit(f"None of {', '.join(names)} is installed.")
    return found


def mail(browser: Browser, out: Path) -> Image.Image:
    """The newest mail as a mail program shows it."""
    [path] = (out / "mail").iterdir()
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("html",))
    assert body is not None
    html = body.get_content()
    for part in message.walk():
        if part.get_content_type() == "image/png":
            picture = base64.b64encode(part.get_content()).decode()
            html = html.replace(f"cid:{part['Content-ID'].strip('<>')}", f"data:image/png;base64,{picture}")
    (out / "mail.html").write_text(html, "utf-8")
    return page(browser, out / "mail.html", 700)


def page(browser: Browser, path: Path, width: int) -> Image.Image:
    """The top of a page as the browser draws it."""
    tab = browser.new_page(viewport={"width": width, "height": width * HEIGHT // WIDTH}, device_scale_factor=1.5)
    tab.goto(path.as_uri())
    tab.wait_for_load_state("networkidle")
    shot = tab.screenshot()
    tab.close()
    return Image.open(io.BytesIO(shot))


def workbook(out: Path) -> Image.Image:
    """The first sheet as LibreOffice draws it."""
    office = [program("soffice"), "--headless", f"-env:UserInstallation=file://{out}/office", "--convert-to", "pdf"]
    subprocess.run([*office, "--outdir", out, out / "metrics.xlsx"], check=True, capture_output=True)
    pages = [program("pdftoppm"), "-r", "110", "-png", "-f", "1", "-l", "1", "-singlefile"]
    subprocess.run([*pages, out / "metrics.pdf", out / "sheet"], check=True)
    whole = Image.open(out / "sheet.png").convert("RGB")
    box = Image.eval(whole.convert("L"), lambda light: 255 - light).getbbox()
    assert box is not None, "the first page is empty"
    left, top, right, _ = box
    return whole.crop((left, top, right, min(whole.height, top + (right - left) * HEIGHT // WIDTH)))


def save(picture: Image.Image, name: str) -> None:
    """Write a picture of few colours."""
    small = picture.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    small.quantize(256, Image.Quantize.MAXCOVERAGE).save(FOLDER / name, "PNG", optimize=True)
    print(f"{FOLDER / name}: {(FOLDER / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
