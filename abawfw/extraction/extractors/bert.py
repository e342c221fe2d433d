"""BERT on the words spoken."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from abawfw.datasets.importers.feature_folder import stems
from abawfw.errors import DataError
from abawfw.extraction.extractors.base import BLOCK, TranscriptExtractor, in_order
from abawfw.extraction.extractors.hub_model import HubModel
from abawfw.extraction.video.source_videos import named
from abawfw.json_files import read_json
from abawfw.registry import EXTRACTORS
from abawfw.text_files import read_csv

LAYERS = 4  # the last ones are summed (docs/tagf.md, Preprocessing)
ENDS = ('.', '?', '!', '…')
COLUMNS = ['word', 'start', 'end']


@EXTRACTORS.register_module('bert')
class Bert(TranscriptExtractor):
    """The last four layers of BERT summed, sub-words averaged: of the word spoken at the time of each frame.

    Zeros where there is no speech. BERT gets the words of a video in passages as long as it
    takes, which end with a sentence where one ends in their second half (docs/tagf.md, Preprocessing).

    Args:
        model: folder written by ``save_pretrained`` of transformers, or name on the hub.
        words: folder with a file of words and times per video; see `transcript_file` and `read_transcript`.
        device: where the network runs.
    """

    name = 'bert'

    def __init__(
        self, model: str | Path | None = None, words: str | Path | None = None, device: str = 'cpu'
    ) -> None:
        self._hub = HubModel(self.name, model, 'google-bert/bert-base-uncased', 'AutoTokenizer', device)
        self._words = words

    @property
    def dims(self) -> tuple[int, ...]:
        """Length of a hidden state, which the model decides."""
        return (int(self._hub.config.hidden_size),)

    def settings(self) -> dict[str, Any]:
        """See `Extractor.settings`."""
        return self._hub.settings()

    def check(self) -> None:
        """See `Extractor.check`."""
        self._folder()
        self._hub.check()
        if not self._hub.prepare.is_fast:
            raise DataError(
                f'feature {self.name!r}: the tokenizer of this model cannot map sub-words to words; '
                'save the model together with a fast one (tokenizer.json)'
            )

    def file(self, video: str) -> Path:
        """See `TranscriptExtractor.file`."""
        return transcript_file(self._folder(), video)

    def extract(self, video: str, times: NDArray[np.float64]) -> Iterator[NDArray[np.float32]]:
        """See `TranscriptExtractor.extract`."""
        times = in_order(times)
        words = read_transcript(self.file(video))
        vectors = np.zeros((len(words) + 1, *self.dims), np.float32)  # the last one: no speech
        for start, stop in self._passages(words):
            vectors[start:stop] = self._vectors(words[start:stop])
        spoken = spoken_words(words, times)
        for k in range(0, len(times), BLOCK):
            yield vectors[spoken[k : k + BLOCK]]

    def _folder(self) -> Path:
        if self._words is None or not Path(self._words).is_dir():
            found = 'none is given' if self._words is None else f'{self._words}: no such folder'
            raise DataError(
                f'feature {self.name!r} needs words=FOLDER with VIDEO.csv or VIDEO.json for every video; '
                f'{found}'
            )
        return Path(self._words)

    def _longest(self) -> int:
        """Tokens that the model takes at once."""
        return min(int(self._hub.config.max_position_embeddings), int(self._hub.prepare.model_max_length))

    def _passages(self, words: Sequence[Word]) -> Iterator[tuple[int, int]]:
        """First word and word after the last of each passage."""
        tokenizer = self._hub.prepare
        most = self._longest() - tokenizer.num_special_tokens_to_add()
        lengths = (
            [
                # a word longer than a passage is cut by the tokenizer
                min(len(ids), most)
                for ids in tokenizer([w.text for w in words], add_special_tokens=False)['input_ids']
            ]
            if words
            else []
        )
        start = 0
        while start < len(words):
            stop, used = start, 0
            while stop < len(words) and used + lengths[stop] <= most:
                used += lengths[stop]
                stop += 1
            if stop < len(words):
                half = start + (stop - start) // 2
                stop = next((k for k in range(stop, half, -1) if words[k - 1].text.endswith(ENDS)), stop)
            yield start, stop
            start = stop

    def _vectors(self, words: Sequence[Word]) -> NDArray[np.float32]:
        """(words, dim) of one passage."""
        import torch

        tokens = self._hub.prepare(
            [w.text for w in words],
            is_split_into_words=True,
            truncation=True,
            max_length=self._longest(),
            return_tensors='pt',
        )
        with torch.inference_mode():
            inputs = {k: v.to(self._hub.model.device) for k, v in tokens.items()}
            layers = self._hub.model(**inputs, output_hidden_states=True).hidden_states[-LAYERS:]
        states = torch.stack(layers).sum(0)[0].float().cpu().numpy()
        found = np.array([-1 if i is None else i for i in tokens.word_ids()])
        # a word of which the tokenizer keeps nothing, such as a control character, is zeros
        return np.stack(
            [
                states[found == i].mean(axis=0)
                if (found == i).any()
                else np.zeros(states.shape[1], np.float32)
                for i in range(len(words))
            ]
        )


def spoken_words(words: Sequence[Word], times: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) index of the word spoken at each of (n,) times; -1 where there is no speech.

    Of words that overlap it is the one that began last.
    """
    spoken = np.full(len(times), -1)
    for i, word in enumerate(words):  # in order of their starts
        first, last = np.searchsorted(times, [word.start, word.end])
        spoken[first:last] = i
    return spoken


class Word(NamedTuple):
    """A word as speech recognition gives it, with the punctuation that follows.

    Attributes:
        text: the word.
        start: seconds on the clock of the video at which it begins.
        end: seconds at which it is over.
    """

    text: str
    start: float
    end: float


def transcript_file(folder: Path, video: str) -> Path:
    """The transcript of a video: VIDEO.csv or VIDEO.json; both persons of a video share one.

    Raises:
        DataError: there is none.
    """
    for name in stems(video):
        for kind in ('.csv', '.json'):
            path = named(folder, f'{name}{kind}')
            if path.is_file():
                return path
    raise DataError(
        f'{folder}: no transcript of video {video!r}: needs {video}.csv or {video}.json with word, start and '
        f'end (seconds) of each word; without speech, an empty {video}.csv'
    )


def read_transcript(path: Path) -> list[Word]:
    """Words in order of their start.

    Args:
        path: .csv: lines ``word,start,end``, with or without this header; .json: a list of objects with
            these keys, or of lists in this order.

    Raises:
        DataError: it cannot be read, or a line is no word with two times.
    """
    try:
        rows = list(_json_rows(path) if path.suffix == '.json' else _csv_rows(path))
    except (OSError, ValueError) as error:
        raise DataError(f'{path}: cannot be read ({type(error).__name__}: {error})') from error
    return sorted((_word(path, *row) for row in rows), key=lambda word: word.start)


def _csv_rows(path: Path) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(read_csv(path), 1):
        names = [value.strip().lower() for value in row]
        if number == 1 and names == ['0', '1', '2']:
            raise DataError(
                f"{path}: line 1 is '0,1,2', which may be a header or the word '0': write word,start,end "
                'above it, or in its place'
            )
        if row and not (number == 1 and names == COLUMNS):
            yield f'line {number}', row


def _json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    entries = read_json(path)
    if not isinstance(entries, list):
        raise ValueError(f'a {type(entries).__name__}, expected a list of words')
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, dict) and (lacking := [key for key in COLUMNS if key not in entry]):
            raise DataError(
                f'{path}: entry {number}: no {", ".join(lacking)}; it has {", ".join(entry) or "no key"}. A '
                f'word needs {", ".join(COLUMNS)} (seconds)'
            )
        yield f'entry {number}', [entry[key] for key in COLUMNS] if isinstance(entry, dict) else entry


def _word(path: Path, where: str, values: Any) -> Word:
    try:
        text, start, end = values
        if not isinstance(text, str) or isinstance(start, bool) or isinstance(end, bool):
            raise TypeError
        word = Word(text.strip(), float(start), float(end))
    except (TypeError, ValueError, OverflowError):
        raise DataError(f'{path}: {where}: {values!s:.80}: needs word, start, end (seconds)') from None
    if not (word.text and math.isfinite(word.start) and word.start <= word.end < math.inf):
        raise DataError(f'{path}: {where}: {values}: needs a word and a start that is not after its end')
    return word
