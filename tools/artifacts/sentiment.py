"""
Train the sentiment classifier, from the texts to a file that Towpath can deploy.

Read this as the example for a model of your own. It has the four steps that every model needs: get
the data, split off what the model must never see, train, and write a file whose inputs and outputs
have names. `towpath.yaml` beside the result then deploys it: `towpath deploy towpath.yaml`.

    python sentiment.py --source vaderSentiment-3.3.2.tar.gz --out DIR

Needs scikit-learn and skl2onnx (`training.lock`), not Towpath.
"""

import argparse
import hashlib
import html
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import graphs
import numpy as np
import onnxruntime
from skl2onnx import to_onnx
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

RATED_TEXTS = "additional_resources/hutto_ICWSM_2014.tar.gz"
CLEAR = 0.5  # texts rated between -0.5 and 0.5 (of -4 to 4) are neither positive nor negative
HELD_OUT = 0.2
WORDS = (
    "[a-zA-Z0-9_]+"  # what the engine's tokenizer reads as well, so that both see the same words
)


@dataclass(frozen=True)
class Example:
    """A text, what people made of it, and the document it stands in."""

    document: str
    text: str
    label: str


def examples(source: Path) -> Iterator[Example]:
    """Read the rated texts: tweets, film and product reviews, newspaper editorials."""
    with tarfile.open(source) as sources:
        inner = next(member for member in sources if member.name.endswith(RATED_TEXTS))
        with tarfile.open(fileobj=io.BytesIO(content(sources, inner))) as archive:
            for member in sorted(archive, key=lambda m: m.name):
                if member.name.endswith("_GroundTruth.txt"):
                    yield from rated(member.name, content(archive, member).decode("utf-8"))


def content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Read a file of an archive."""
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"`{member.name}` is not a file")
    return file.read()


def rated(name: str, lines: str) -> Iterator[Example]:
    """Read one file, a number, a mean rating and a text per line; keep what is clear."""
    for line in lines.splitlines():
        number, rating, text = line.split("\t", 2)
        if abs(float(rating)) >= CLEAR:
            # Sentences of one review or editorial are numbered 12_1, 12_2, …: they belong together.
            document = f"{name}:{number.partition('_')[0]}"
            yield Example(
                document, html.unescape(text), "positive" if float(rating) > 0 else "negative"
            )


def split(found: list[Example]) -> tuple[list[Example], list[Example]]:
    """
    Hold out a fifth of the documents for the only honest number there is.

    By hash, so that the choice is the same each time; whole documents, so that the model has not
    read the neighbouring sentence; and no text that stands on both sides.
    """
    held_out = [e for e in found if share(e.document) < HELD_OUT]
    unseen = {e.text.lower() for e in held_out}
    return [
        e for e in found if share(e.document) >= HELD_OUT and e.text.lower() not in unseen
    ], held_out


def share(document: str) -> float:
    """Place a document between 0 and 1, always at the same point."""
    return int.from_bytes(hashlib.sha256(document.encode()).digest()[:8]) / 2**64


def train(seen: list[Example]) -> Pipeline:
    """Weigh words and pairs of words by rarity, and learn which tell the labels apart."""
    words = TfidfVectorizer(token_pattern=WORDS, ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = make_pipeline(words, LogisticRegression(C=5, max_iter=1000, random_state=0))
    return model.fit([e.text for e in seen], [e.label for e in seen])


def export(model: Pipeline, path: Path) -> None:
    """Write the model: one input, `text`; two outputs, `label` and `score` (its probability)."""
    converted = to_onnx(
        model,
        initial_types=[("text", StringTensorType([None, 1]))],
        options={"zipmap": False},
        target_opset=17,
    )
    graphs.portable(converted)
    graphs.columns(converted)
    graphs.chosen(converted, label="label", probability="score")
    graphs.save(converted, str(path))


def accuracy(path: Path, held_out: list[Example]) -> float:
    """Measure the file itself, as it will be served, on texts that it has never seen."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    texts = np.array([e.text for e in held_out], dtype=np.object_)
    labels = session.run(["label"], {"text": texts})[0]
    return float(np.mean(labels == np.array([e.label for e in held_out])))


def main() -> None:
    """Train, write `model.onnx`, and say how good it is in `training.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, help="source archive of vaderSentiment"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the result")
    arguments = parser.parse_args()

    seen, held_out = split(list(examples(arguments.source)))
    path = arguments.out / "model.onnx"
    export(train(seen), path)
    result = {
        "accuracy": round(accuracy(path, held_out), 4),
        "held_out": len(held_out),
        "positive": round(sum(e.label == "positive" for e in held_out) / len(held_out), 4),
        "trained_on": len(seen),
    }
    (arguments.out / "training.json").write_text(
        json.dumps(result, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
