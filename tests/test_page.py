"""The page over plain HTTP: who gets it, which files it has, and how they are served."""

import base64
import re

import pytest
from calls import error
from event_files import dispatching, event
from fastapi import FastAPI
from starlette.testclient import TestClient

from handler.app import create_app
from handler.embedder import Embedder
from handler.page import FILES, FOLDER
from handler.settings import Settings

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
}


@pytest.mark.parametrize(
    "accept",
    [
        BROWSER,
        "text/html",
        "TEXT/HTML; charset=utf-8",
        "text/*",
        "application/json;q=0.5,text/html",
        "*/*;q=0.1, text/html;q=0.2",
        "text/html;q=0.9,*/*;q=0.8",
    ],
)
def test_browsers_get_the_page(client: TestClient, accept: str) -> None:
    found = client.get("/", headers={"accept": accept})
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    assert found.text.startswith("<!doctype html>")
    assert "accept" in found.headers["vary"]


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "",
        "application/json",
        "application/json, text/html",
        "text/html;q=0.5, */*",
        "text/html;q=0, */*",
        "text/html;q=x",
        "image/png",
        ";;,,q=1",
    ],
)
def test_api_clients_get_json(client: TestClient, accept: str) -> None:
    found = client.get("/", headers={"accept": accept})
    assert found.json()["name"] == "openclip-serverless"
    assert "accept" in found.headers["vary"]


def test_the_page_is_there_while_the_model_loads(settings: Settings) -> None:
    with TestClient(create_app(lambda: None, settings, lambda record: None)) as client:
        assert client.get("/", headers={"accept": BROWSER}).status_code == 200


def test_every_file_of_the_folder_is_served_as_what_it_is(client: TestClient) -> None:
    there = {
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*.*")
        if path.suffix not in (".py", ".pyc", ".html")
    }
    assert set(FILES) == there
    for name in FILES:
        found = client.get(f"/page/{name}")
        assert found.content == (FOLDER / name).read_bytes()
        assert found.headers["content-type"] == TYPES[name.rpartition(".")[2]]
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["cache-control"] == "no-cache"


def test_what_the_files_refer_to_is_served(client: TestClient) -> None:
    page = client.get("/", headers={"accept": BROWSER}).text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    own = [link for link in links if not link.startswith("data:")]
    assert own == ["page/style.css", "page/page.js", "docs"]
    assert all(client.get(f"/{link}").status_code == 200 for link in own)
    for name in FILES:
        if name.endswith(".js"):
            text = client.get(f"/page/{name}").text
            imported = re.findall(r'^import .* from "\./(.+)";$', text, re.MULTILINE)
            assert len(imported) == text.count("import ")
            assert set(imported) <= set(FILES)


def test_nothing_leads_elsewhere() -> None:
    for name in ("index.html", *(name for name in FILES if not name.endswith(".png"))):
        found = set(re.findall(r"https?://[^'\"\s]+", (FOLDER / name).read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, name


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/nothing.js",
        "/page/__init__.py",
        "/page/index.html",
        "/page/examples",
        "/page/examples/",
        "/page/../app.py",
        "/page/%2e%2e/app.py",
        "/page/..%2fapp.py",
        "/page/examples/..%2fstyle.css",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/style.css%00",
        "/page/STYLE.CSS",
    ],
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    error(client.get(path), 404, "not_found")


def test_head_and_other_methods(client: TestClient) -> None:
    for path in ("/", "/page/style.css"):
        headers = {"accept": BROWSER}
        full, head = client.get(path, headers=headers), client.head(path, headers=headers)
        assert head.status_code == 200
        for name in ("content-type", "content-length", "etag", "content-security-policy"):
            assert head.headers[name] == full.headers[name]
        error(client.post(path, json={}), 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/", "/page/page.js"])
def test_an_unchanged_file_is_not_sent_again(client: TestClient, path: str) -> None:
    headers = {"accept": BROWSER}
    tag = client.get(path, headers=headers).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get(path, headers=headers | {"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    changed = client.get(path, headers=headers | {"if-none-match": '"other"'})
    assert changed.status_code == 200


def test_the_policy_allows_nothing_from_elsewhere(client: TestClient) -> None:
    policy = client.get("/", headers={"accept": BROWSER}).headers["content-security-policy"]
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == ["'self'"]
    assert {one for rule in rules.values() for one in rule} == {
        "'none'",
        "'self'",
        "data:",
        "blob:",
    }


def test_a_prefix_is_told_to_the_page(embedder: Embedder, settings: Settings) -> None:
    outer = FastAPI()
    outer.mount("/api/v 1'\"<", create_app(lambda: embedder, settings, lambda record: None))
    with TestClient(outer) as client:
        page = client.get("/api/v 1'\"</", headers={"accept": BROWSER}).text
        assert '<base href="/api/v%201%27%22%3C/">' in page
        assert client.get("/api/v 1'\"</page/style.css").status_code == 200


def test_without_a_prefix_the_address_itself_is_the_base(client: TestClient) -> None:
    assert "<base" not in client.get("/", headers={"accept": BROWSER}).text


@pytest.mark.parametrize("name", ["rest_get_root", "http_v2_stage"])
def test_behind_a_stage(embedder: Embedder, settings: Settings, name: str) -> None:
    sent = event(name)
    sent["headers"] = {"accept": BROWSER, "host": "x.example"}
    sent.pop("multiValueHeaders", None)
    context = sent["requestContext"]
    stage = context["stage"]
    if "http" in context:
        context["http"] |= {"method": "GET", "path": f"/{stage}/"}
    with dispatching(embedder, settings) as call:
        found = call(sent)
        assert found["statusCode"] == 200
        assert found["isBase64Encoded"] is False
        assert f'<base href="/{stage}/">' in found["body"]
        if "http" in context:
            context["http"]["path"] = f"/{stage}/page/examples/red-circle.png"
        else:
            sent["path"] = "/page/examples/red-circle.png"
            context["path"] = f"/{stage}{sent['path']}"
        picture = call(sent)
    assert picture["isBase64Encoded"] is True
    expected = (FOLDER / "examples/red-circle.png").read_bytes()
    assert base64.b64decode(picture["body"]) == expected
