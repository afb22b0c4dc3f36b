"""Paraphrases through a local fake server: taken where every literal survives and nothing is added, else the text stays."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from worlddb.tasks.say.paraphrase import Endpoint, mask, paraphrase, unfit

TEXT = "Please cancel the booking WN3906 of Anna Schmidt and set the price to €188.80."
LITERALS = ["WN3906", "Anna Schmidt", "€188.80"]


class Fake:
    """A server that answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.status, self.body, self.wait = 200, b"", 0.0
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                fake.asked.append(json.loads(self.rfile.read(length)) | {"path": self.path})
                fake.headers.append(self.headers.get("Authorization") or "")
                time.sleep(fake.wait)
                self.send_response(fake.status)
                self.end_headers()
                with suppress(OSError):  # the client has gone
                    self.wfile.write(fake.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def says(self, content: Any) -> None:
        self.body = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()

    def endpoint(self, **options: Any) -> Endpoint:
        return Endpoint(url=f"http://127.0.0.1:{self.server.server_port}/v1", model="fake", **options)


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_good_paraphrase_is_taken(fake: Fake) -> None:
    fake.says("Would you cancel «2»'s booking «1», and then change its price to «3»?")
    found = paraphrase(TEXT, LITERALS, fake.endpoint(key="secret"))
    assert found.taken
    assert found.text == "Would you cancel Anna Schmidt's booking WN3906, and then change its price to €188.80?"
    assert fake.asked[0]["path"] == "/v1/chat/completions"
    assert fake.asked[0]["model"] == "fake"
    assert fake.headers == ["Bearer secret"]
    sent = fake.asked[0]["messages"][1]["content"]
    assert sent == "Please cancel the booking «1» of «2» and set the price to «3»."
    assert not any(x in json.dumps(fake.asked[0]) for x in LITERALS)


BAD = {
    "dropped": "Would you cancel the booking «1» of «2» and change its price?",
    "repeated": "Cancel «1» of «2», I mean «1», and set the price to «3».",
    "new": "Cancel «1» of «2» and set the price to «3», or «4».",
    "invented number": "Cancel «1» of «2» today at 5 and set the price to «3».",
    "invented quotation": 'Cancel «1» of «2" and set "the price" to «3».',
    "broken": "Cancel «1» of «2» and set the « price to «3».",
    "known name": "Cancel «1» of «2» for Milan Novak and set the price to «3».",
    "too short": "«1» «2» «3»",
    "too long": "Cancel «1» of «2» and set the price to «3». " + "Thank you very much indeed. " * 9,
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_paraphrase_leaves_the_text(fake: Fake, name: str) -> None:
    fake.says(BAD[name])
    found = paraphrase(TEXT, LITERALS, fake.endpoint(), known=["Milan Novak"])
    assert (found.text, found.taken) == (TEXT, False)
    assert found.why
    assert not found.why.startswith("no answer")


def test_a_server_that_fails_leaves_the_text(fake: Fake) -> None:
    fake.says("Cancel «1» of «2» and set the price to «3» please.")
    assert paraphrase(TEXT, LITERALS, fake.endpoint()).taken  # so far it would do
    fake.status = 500
    assert paraphrase(TEXT, LITERALS, fake.endpoint()) == _unanswered("HTTPError")
    fake.status, fake.body = 200, b"{not json"
    assert paraphrase(TEXT, LITERALS, fake.endpoint()) == _unanswered("JSONDecodeError")
    for body in (b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"\xff\xfe"):
        fake.body = body
        found = paraphrase(TEXT, LITERALS, fake.endpoint())
        assert (found.text, found.taken, found.why[:10]) == (TEXT, False, "no answer:"), body
    fake.wait = 1.0
    assert paraphrase(TEXT, LITERALS, fake.endpoint(timeout=0.1)).why == "no answer: TimeoutError"
    gone = Endpoint(url="http://127.0.0.1:9/v1", model="fake", timeout=1)
    assert paraphrase(TEXT, LITERALS, gone) == _unanswered("URLError")
    assert paraphrase(TEXT, LITERALS, Endpoint(url="file:///etc", model="fake")) == _unanswered("ValueError")


def _unanswered(error: str) -> Any:
    from worlddb.tasks.say.paraphrase import Outcome

    return Outcome(TEXT, False, f"no answer: {error}")


def test_masks_stand_for_whole_literals_the_longest_first() -> None:
    assert mask("Anna and Anna Schmidt, Annabel", ["Anna", "Anna Schmidt"]) == (
        "«1» and «2», Annabel",
        ["Anna", "Anna Schmidt"],
    )
    assert mask("nothing", []) == ("nothing", [])


def test_numbers_that_the_text_has_itself_may_stay() -> None:
    assert unfit("the 3 rooms of «1» please", "those 3 rooms of «1», please") == ""
    assert unfit("the rooms of «1» please", "the 3 rooms of «1» please").startswith("a value of its own")
