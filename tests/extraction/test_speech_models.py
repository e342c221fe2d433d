"""wav2vec 2.0, HuBERT and BERT, on small random models of which nothing is downloaded."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made_videos import constant_rate, plain, write_sound, write_video

from abawfw.errors import DataError
from abawfw.extraction.audio.audio import RATE, Audio
from abawfw.extraction.extractors import bert, build_extractor, wav2vec2
from abawfw.extraction.extractors.bert import Word

VOCABULARY = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'hello', 'wor', '##ld', '.', 'we', 'are', 'here']
SMALL = {'hidden_size': 8, 'num_attention_heads': 2, 'intermediate_size': 8}


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip('transformers')
    torch = pytest.importorskip('torch')
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp('models')
    speech = {
        **SMALL,
        'num_hidden_layers': 2,
        'conv_dim': (8,) * 7,
        'num_conv_pos_embeddings': 16,
        'num_conv_pos_embedding_groups': 2,
    }
    transformers.utils.logging.disable_progress_bar()
    for name in ('Wav2Vec2', 'Hubert'):
        config = getattr(transformers, f'{name}Config')(**speech)
        getattr(transformers, f'{name}Model')(config).save_pretrained(root / name)
        transformers.Wav2Vec2FeatureExtractor().save_pretrained(root / name)
    config = transformers.BertConfig(
        **SMALL, num_hidden_layers=5, vocab_size=len(VOCABULARY), max_position_embeddings=12
    )
    transformers.BertModel(config).save_pretrained(root / 'Bert')
    tokenizer = transformers.BertTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)})
    tokenizer.save_pretrained(root / 'Bert')
    return root


def states_of(folder: Path, samples: np.ndarray) -> np.ndarray:
    import torch
    import transformers

    normal = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    with torch.no_grad():
        return model(torch.from_numpy(normal[None]).float()).last_hidden_state[0].numpy()


def noise(tmp_path: Path, seconds: float) -> Audio:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * RATE))
    return Audio(write_sound(tmp_path / 'a.mkv', samples, RATE, 'pcm_s16le'))


@pytest.mark.parametrize('kind', ['Wav2Vec2', 'Hubert'])
@pytest.mark.parametrize('fps', [10, 30, 100])
def test_states_nearest_to_each_frame(models: Path, tmp_path: Path, kind: str, fps: int) -> None:
    sound = noise(tmp_path, 2)
    extractor = build_extractor('wav2vec2', model=str(models / kind))
    extractor.check()
    times = np.arange(2 * fps) / fps
    found = np.concatenate(list(extractor.extract(sound, times)))
    assert (found.shape, found.dtype) == ((2 * fps, *extractor.dims), np.float32)
    states = states_of(models / kind, sound.read(0, 2 * RATE))
    assert len(states) == 99  # one every 20 ms, of 25 ms each
    centres = 0.02 * np.arange(99) + 199.5 / RATE
    owner = np.abs(centres[:, None] - times).argmin(axis=1)
    for i, time in enumerate(times):
        own = states[owner == i]
        expected = own.mean(axis=0) if len(own) else states[np.abs(centres - time).argmin()]
        np.testing.assert_allclose(found[i], expected, atol=1e-5)


def test_long_sound_is_heard_in_parts(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part with what is said before and after it; the same frames in the same order."""
    monkeypatch.setattr(wav2vec2, 'SECONDS', 1)
    sound = noise(tmp_path, 5)
    times = np.arange(150) / 30
    extractor = build_extractor('wav2vec2', model=str(models / 'Hubert'))
    found = np.concatenate(list(extractor.extract(sound, times)))
    # frames of the fourth second are heard from 1 s to the end
    states = states_of(models / 'Hubert', sound.read(RATE, 5 * RATE))
    centres = 1 + 0.02 * np.arange(len(states)) + 199.5 / RATE
    owner = np.abs(centres[:, None] - times).argmin(axis=1)
    for i in range(90, 120):
        np.testing.assert_allclose(found[i], states[owner == i].mean(axis=0), atol=1e-5)


@pytest.mark.parametrize('seconds', [0.011, 0.2])
def test_very_short_sound(models: Path, tmp_path: Path, seconds: float) -> None:
    extractor = build_extractor('wav2vec2', model=str(models / 'Wav2Vec2'))
    times = np.array(constant_rate(10))
    found = np.concatenate(list(extractor.extract(noise(tmp_path, seconds), times)))
    assert np.isfinite(found).all()
    assert found.any(axis=1).tolist() == (times < seconds).tolist()


def test_without_sound(models: Path, tmp_path: Path) -> None:
    sound = Audio(write_video(tmp_path / 'a.mp4', plain(4), constant_rate(4)))
    extractor = build_extractor('wav2vec2', model=str(models / 'Wav2Vec2'))
    assert not np.concatenate(list(extractor.extract(sound, np.arange(4) / 30))).any()


def words_folder(tmp_path: Path, words: list[Word]) -> str:
    lines = ''.join(f'{w.text},{w.start},{w.end}\n' for w in words)
    (tmp_path / 'v.csv').write_text(f'word,start,end\n{lines}')
    return str(tmp_path)


def test_words_at_the_times_of_frames(models: Path, tmp_path: Path) -> None:
    """The last four of six states summed, the three parts of 'world.' averaged; zeros between words."""
    import torch
    import transformers

    words = [Word('Hello', 0.1, 0.4), Word('world.', 0.5, 0.8)]
    extractor = build_extractor('bert', model=str(models / 'Bert'), words=words_folder(tmp_path, words))
    extractor.check()
    times = np.array([0.0, 0.1, 0.3, 0.4, 0.5, 0.7, 0.8, 3])
    found = np.concatenate(list(extractor.extract('v', times)))
    assert (found.shape, found.dtype) == ((8, *extractor.dims), np.float32)
    model = transformers.AutoModel.from_pretrained(models / 'Bert', local_files_only=True).eval()
    ids = torch.tensor([[VOCABULARY.index(t) for t in ('[CLS]', 'hello', 'wor', '##ld', '.', '[SEP]')]])
    with torch.no_grad():
        summed = sum(model(ids, output_hidden_states=True).hidden_states[-4:])[0].numpy()
    expected = np.zeros((8, 8))
    expected[[1, 2]] = summed[1]
    expected[[4, 5]] = summed[2:5].mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_passages_end_with_sentences(models: Path, tmp_path: Path) -> None:
    """12 tokens with two marks: ten at a time, cut after a full stop in the second half."""
    text = 'we are here hello we are. hello hello we are here we world. we'
    words = [Word(word, i, i + 1) for i, word in enumerate(text.split(' '))]
    extractor = build_extractor('bert', model=str(models / 'Bert'), words=words_folder(tmp_path, words))
    passages = list(extractor._passages(words))
    assert passages == [(0, 6), (6, 14)]
    assert all(a[1] == b[0] for a, b in pairwise(passages))
    found = np.concatenate(list(extractor.extract('v', np.arange(14) + 0.5)))
    alone = build_extractor('bert', model=str(models / 'Bert'), words=words_folder(tmp_path, words[:6]))
    np.testing.assert_allclose(
        found[:6], np.concatenate(list(alone.extract('v', np.arange(6) + 0.5))), atol=1e-5
    )


def test_a_word_longer_than_a_passage(models: Path, tmp_path: Path) -> None:
    words = [Word('hello', 0, 1), Word('....................', 1, 2), Word('we', 2, 3)]
    extractor = build_extractor('bert', model=str(models / 'Bert'), words=words_folder(tmp_path, words))
    found = np.concatenate(list(extractor.extract('v', np.arange(3) + 0.5)))
    assert np.isfinite(found).all()
    assert found.any(axis=1).all()


def test_nobody_speaks(models: Path, tmp_path: Path) -> None:
    extractor = build_extractor('bert', model=str(models / 'Bert'), words=words_folder(tmp_path, []))
    assert not np.concatenate(list(extractor.extract('v', np.arange(2500) / 30))).any()


def test_of_overlapping_words_the_last_one_to_begin() -> None:
    words = [Word('a', 0, 5), Word('b', 1, 2), Word('c', 8, 8)]
    assert bert.spoken_words(words, np.array([0, 1.5, 2.5, 5, 8])).tolist() == [0, 1, 0, -1, -1]


def test_settings_follow_the_model(models: Path) -> None:
    def settings(name: str) -> dict:
        return build_extractor('wav2vec2', model=str(models / name)).settings()

    assert settings('Hubert') == settings('Hubert')
    assert settings('Hubert') != settings('Wav2Vec2')
    assert build_extractor('wav2vec2', model='facebook/some').settings()['model'] == 'facebook/some'


@pytest.mark.parametrize('name', ['wav2vec2', 'bert'])
def test_what_is_missing(models: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {'words': str(tmp_path)} if name == 'bert' else {}

    def message(**options: str) -> str:
        with pytest.raises(DataError) as caught:
            build_extractor(name, **words, **options).check()
        assert '\n' not in str(caught.value)
        return str(caught.value)

    assert 'needs model=FOLDER or the name of a model on the hub' in message()
    assert 'no such folder with a model' in message(model=str(tmp_path / 'none'))
    assert 'AutoConfig cannot be loaded' in message(model=str(tmp_path))
    other = 'Bert' if name == 'wav2vec2' else 'Wav2Vec2'
    assert re.search('does not take samples of audio|cannot be loaded', message(model=str(models / other)))
    monkeypatch.setitem(__import__('sys').modules, 'transformers', None)
    assert 'pip install -e .[speech]' in message(model=str(models / other))


def test_words_are_missing(models: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'needs words=FOLDER.*none is given'):
        build_extractor('bert', model=str(models / 'Bert')).check()
    with pytest.raises(DataError, match='no such folder'):
        build_extractor('bert', model=str(models / 'Bert'), words=str(tmp_path / 'none')).check()
    extractor = build_extractor('bert', model=str(models / 'Bert'), words=str(tmp_path))
    with pytest.raises(DataError, match="no transcript of video 'v'"):
        next(extractor.extract('v', np.zeros(1)))
