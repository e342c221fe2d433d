"""Names that the encoding of the terminal cannot show."""

from __future__ import annotations

import io
import sys

import pytest

from abawfw.apis.cli import run


@pytest.mark.parametrize('encoding', ['ascii', 'gbk', 'utf-8'])
def test_what_the_terminal_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """The name of a video, after hours of work, is no reason to fail."""
    shown, errors = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(shown, encoding=encoding, errors='strict'))
    monkeypatch.setattr(sys, 'stderr', io.TextIOWrapper(errors, encoding=encoding, errors='strict'))
    name = 'caf\N{LATIN SMALL LETTER E WITH ACUTE} \udce9'

    def main() -> int:
        sys.stdout.write(f'{name}\n')
        sys.stderr.write(f'{name}\n')
        return 3

    with pytest.raises(SystemExit) as leaving:
        run(main)
    assert leaving.value.code == 3
    for stream, written in ((sys.stdout, shown), (sys.stderr, errors)):
        stream.flush()
        letter = 'caf\\xe9' if encoding == 'ascii' else 'caf\N{LATIN SMALL LETTER E WITH ACUTE}'
        assert written.getvalue().decode(encoding) == f'{letter} \\udce9\n'
