"""Whatever comes from elsewhere, it is read or refused by name, and nothing else is raised."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from towpath_server.adapters.sources import bucketlist, card, layers, selection
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.hub import read_listing
from towpath_server.adapters.sources.model import RemoteFile
from towpath_server.core.sources import SCHEMES, UriInvalid, parse

NAMES = st.sampled_from(
    [
        *("digest", "size", "mediaType", "annotations", "sha", "siblings", "rfilename", "lfs"),
        *("sha256", "org.opencontainers.image.title", "io.deis.oras.content.unpack"),
    ]
)
VALUES = st.sampled_from(
    [
        *(
            "sha256:" + "a" * 64,
            "a" * 64,
            "a" * 40,
            "true",
            "application/vnd.oci.image.layer.v1.tar",
        ),
        *("application/vnd.docker.ai.gguf.v3", "application/vnd.cncf.model.weight.v1.tar+zstd"),
    ]
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)
XML = st.lists(
    st.sampled_from(
        [
            *("<ListBucketResult>", "</ListBucketResult>", "<Contents>", "</Contents>", "<Key>"),
            *(
                "</Key>",
                "<ETag>",
                "</ETag>",
                "<Size>",
                "</Size>",
                "<IsTruncated>true</IsTruncated>",
            ),
            *("&a;", "<!DOCTYPE a>", "<![CDATA[", "]]>", "1", "x/y", "\u0660", "-", "<a b='c'/>"),
        ]
    ),
    max_size=20,
).map(lambda parts: "".join(["<ListBucketResult>", *parts]).encode())


@given(st.sampled_from(SCHEMES), st.text(max_size=60))
def test_a_uri_is_read_or_refused(scheme, rest):
    with contextlib.suppress(UriInvalid):
        address = parse(f"{scheme}://{rest}")

        assert parse(address.text) == address
        assert address.basename


@given(st.text(alphabet="ab/:@.#%=-_ \\?", max_size=30), st.sampled_from(SCHEMES))
def test_a_uri_of_the_marks_that_matter_is_read_or_refused(rest, scheme):
    test_a_uri_is_read_or_refused.hypothesis.inner_test(scheme, rest)


@given(XML | st.binary(max_size=200))
def test_a_list_of_a_bucket_is_read_or_refused(body):
    with contextlib.suppress(ValueError):
        page = bucketlist.read(body)

        assert all(one.key and one.etag and one.size >= 0 for one in page.objects)


@given(DOCUMENTS)
def test_layers_are_read_or_refused(document):
    with contextlib.suppress(ValueError, SourceFailed):
        assert isinstance(layers.read(document), list)


@given(DOCUMENTS | st.fixed_dictionaries({"sha": VALUES, "siblings": st.lists(DOCUMENTS)}))
def test_a_listing_of_the_hub_is_read_or_refused(document):
    with contextlib.suppress(SourceFailed):
        read_listing(json.dumps(document).encode(), "hub")


@given(st.binary(max_size=200) | st.text(alphabet="-\nlicense: &*[]{}ab\"'|>", max_size=80))
def test_a_card_is_read(data):
    front = data if isinstance(data, bytes) else f"---\n{data}\n---\n".encode()

    text, licence = card.read(front)

    assert text is None or "\0" not in text
    assert licence is None or licence


@given(st.lists(st.text(alphabet="ab./\\\0~ü-", min_size=1, max_size=12), max_size=6))
def test_what_is_taken_stays_in_its_folder(paths):
    files = [RemoteFile(f"{path}.gguf", path) for path in paths]

    with contextlib.suppress(SourceFailed):
        taken = selection.model_files(files, fix="")

        assert all(".." not in one.path.split("/") and one.path[0] != "/" for one in taken)
