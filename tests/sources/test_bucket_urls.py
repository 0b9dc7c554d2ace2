"""Which objects IMAGE_BUCKETS lets through."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.errors import SetupError
from handler.settings import Settings
from handler.sources import Sources
from handler.sources.allowed import Buckets, Place
from handler.sources.refusals import Refused


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("shop", "s3://shop/key"),
        ("shop", "s3://shop//key"),
        ("shop/red", "s3://shop/red/key"),
        ("shop/red/", "s3://shop/red/key"),
        ("shop/red", "s3://shop/red//key"),
        ("shop/red/ , shop/blue", "s3://shop/blue/key"),
        ("other,shop/a/b", "s3://shop/a/b/c/d"),
    ],
)
def test_listed(setting: str, url: str) -> None:
    assert Buckets(setting).admit(url) == Place("shop", url.removeprefix("s3://shop/"))


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("shop", "s3://"),
        ("shop", "s3:///key"),
        ("shop", "s3://shop"),
        ("shop", "s3://shop/"),
        ("shop", "s3://Shop/key"),
        ("shop", "s3://shopping/key"),
        ("shop", "s3://shop.evil/key"),
        ("shop", "s3://sho/key"),
        ("shop", "s3://other/key"),
        ("shop", "s3://other/shop/key"),
        ("shop", "s3://shop@other/key"),
        ("shop", "s3://shop:443/key"),
        ("shop", "s3://shop /key"),
        ("shop", "s3://arn:aws:s3:::shop/key"),
        ("shop", "s3://../shop/key"),
        ("shop", "s3://shop/a\x00b"),
        ("shop", "s3://shop/a\r\nb"),
        ("shop", "s3://shop/\ud800"),
        ("shop/red", "s3://shop/red"),
        ("shop/red", "s3://shop/red.png"),
        ("shop/red", "s3://shop/redder/key"),
        ("shop/red", "s3://shop//red/key"),
        ("shop/red", "s3://shop/RED/key"),
        ("shop/red", "s3://shop/blue/red/key"),
        ("shop/red", "s3://shop/%72ed/key"),
        ("shop/red", "s3://shop/red/../key"),
        ("shop/red", "s3://shop/red/./key"),
        ("shop/red", "s3://shop/red/.."),
        ("shop/red", "s3://other/red/key"),
    ],
)
def test_not_listed(setting: str, url: str) -> None:
    with pytest.raises(Refused, match=r"."):
        Buckets(setting).admit(url)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_only_keys_under_the_prefix_pass(rest: str) -> None:
    try:
        place = Buckets("shop/red").admit(f"s3://{rest}")
    except Refused:
        return
    assert place.bucket == "shop" and place.key.startswith("red/")


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1))
def test_a_key_under_the_prefix_passes_unchanged(rest: str) -> None:
    if {".", ".."}.isdisjoint(rest.split("/")):
        assert Buckets("shop/red").admit(f"s3://shop/red/{rest}").key == f"red/{rest}"


@pytest.mark.parametrize("buckets", ["s3://shop", "/red", "ab", "shop:x", "*"])
def test_an_entry_that_is_no_bucket_stops_the_start(buckets: str) -> None:
    with pytest.raises(SetupError, match="IMAGE_BUCKETS"):
        Sources(Settings(image_buckets=buckets))
