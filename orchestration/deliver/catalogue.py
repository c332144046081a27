"""The translations of what people read: gettext catalogues in `locale/`, named by their language.

`<language>.po` has the texts of the code, the templates and the charts (`make messages` brings it up
to date), `<language>.descriptions.po` those that dbt wrote into the warehouse as comments.
"""

import gettext
import io
from functools import lru_cache
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "locale"


@lru_cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The translations into `language`; what they lack stays as it is. English has none."""
    found = gettext.NullTranslations()
    for path in sorted(FOLDER.glob(f"{language}*.po")):
        compiled = io.BytesIO()
        with path.open("rb") as file:
            write_mo(compiled, read_po(file, locale=language))
        compiled.seek(0)
        translations = gettext.GNUTranslations(compiled)
        translations.add_fallback(found)
        found = translations
    return found


def mark(message: str) -> str:
    """A text that is translated where it is shown: what extracts texts finds it by this call."""
    return message
