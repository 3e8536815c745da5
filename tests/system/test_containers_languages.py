"""Containers that know no Python: one in Node, plain http, and one in shell."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from textwrap import dedent

import pytest

from tests.system.households import Household, household

pytestmark = pytest.mark.timeout(60)

NODE = """
    const http = require("http");
    const { CONTAINER_ID, PORT, PLATFORM_URL } = process.env;
    const info = {
      containerId: CONTAINER_ID,
      image: { imageName: "speaker" },
      agents: [{
        agentId: "node", agentType: "Node",
        actions: [
          { name: "Speak", parameters: { text: "string" }, result: "string", optional: true },
          { name: "Ask", parameters: {}, result: "object" },
        ],
      }],
      runningSince: new Date().toISOString(),
    };
    function answer(response, status, value) {
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(value));
    }
    http.createServer((request, response) => {
      let body = "";
      request.on("data", (piece) => { body += piece; });
      request.on("end", async () => {
        const path = request.url.split("?")[0];
        if (path === "/info") return answer(response, 200, info);
        if (path === "/invoke/Speak") return answer(response, 200, JSON.parse(body).text + " from Node");
        if (path === "/invoke/Ask") {
          const agents = await (await fetch(PLATFORM_URL + "/agents")).json();
          return answer(response, 200, agents.map((agent) => agent.agentId));
        }
        return answer(response, 500, { error: "no such thing" });
      });
    }).listen(Number(PORT), "127.0.0.1");
"""

# A shell cannot listen; one line of Perl accepts connections and hands each to a shell.
LISTEN = (
    "use IO::Socket::INET; $SIG{CHLD} = 'IGNORE';"
    " my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ENV{PORT}, Listen => 64, ReuseAddr => 1)"
    " or die $!; while (my $c = $s->accept) { if (!fork) { open(STDIN, '<&', $c); open(STDOUT, '>&', $c);"
    " exec '/bin/sh', 'answer.sh' } close $c }"
)
SHELL = r"""
    #!/bin/sh
    read -r method path rest
    length=0
    while read -r line; do
        line=$(printf '%s' "$line" | tr -d '\r')
        [ -z "$line" ] && break
        case "$line" in [Cc]ontent-[Ll]ength:*) length=${line#*: } ;; esac
    done
    [ "$length" -gt 0 ] && head -c "$length" > /dev/null
    status='200 OK'
    case "$method $path" in
        'GET /info')
            body='{"containerId":"'$CONTAINER_ID'","image":{"imageName":"shell"},
                   "agents":[{"agentId":"sh","actions":[{"name":"Uptime","result":"string"}]}],
                   "runningSince":"2026-04-21T13:13:39.120Z"}' ;;
        'POST /invoke/Uptime'*) body='"'$(cut -d ' ' -f 1 /proc/uptime)'"' ;;
        *) status='500 Oops'; body='{"error": "no such thing"}' ;;
    esac
    printf 'HTTP/1.0 %s\r\nContent-Type: application/json\r\nContent-Length: %s\r\n\r\n%s' \
        "$status" "${#body}" "$body"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    for program in ("node", "perl"):
        if shutil.which(program) is None:
            complaint = f"{program} is not installed"
            pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    with household(tmp_path_factory.mktemp("languages")) as home:
        folder = home.images / "speaker"
        folder.mkdir()
        (folder / "package.json").write_text(json.dumps({"name": "speaker", "version": "1.0.0", "main": "main.js"}))
        (folder / "main.js").write_text(dedent(NODE))
        folder = home.image("shell", ["/bin/sh", "-c", f'exec perl -e "{_quoted(LISTEN)}"'])
        (folder / "answer.sh").write_text(dedent(SHELL).lstrip())
        yield home


def _quoted(code: str) -> str:
    return code.replace("\\", "\\\\").replace("$", "\\$").replace('"', '\\"')


@pytest.mark.parametrize(("image", "action"), [("speaker", "Speak"), ("shell", "Uptime")])
def test_it_is_a_container_like_any_other(home: Household, image: str, action: str) -> None:
    first, second = home.posted(image), home.posted(image)
    arguments = {"text": "hello"} if action == "Speak" else {}

    def works(container_id: str) -> bool:
        answer = home.ask("POST", f"/invoke/{action}?containerId={container_id}", json_body=arguments)
        return answer.status == 200 and isinstance(answer.json(), str)

    assert works(first)
    assert works(second)
    failed = home.ask("POST", "/send/" + ("node" if image == "speaker" else "sh"), json_body={"payload": 1})
    assert failed.status == 502
    assert "no such thing" in failed.json()["cause"]["message"]
    pid = home.pid_of(first)
    os.kill(pid, signal.SIGKILL)
    home.settles(lambda: works(first) and home.pid_of(first) != pid, "it is back")
    assert works(second)
    home.deleted(second)
    new = home.put(image).text
    assert home.listed() == [new]
    assert works(new)
    home.deleted(new)
    assert home.running() == {}


def test_it_may_use_the_platform(home: Household) -> None:
    container_id = home.posted("speaker")
    assert home.do(container_id, "Ask") == ["node"]
    home.deleted(container_id)
