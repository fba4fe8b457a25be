"""Commands that talk to what runs: logs, exec, attach, cp, port-forward, proxy, debug, top; and to the node."""

from __future__ import annotations

from tests.conformance.clients.case import Begin, Case, Do, Fetch, Gone, Has, Make, Sees, case
from tests.conformance.clients.objects import container, deployment, pod

LINES = [
    "sh",
    "-c",
    "for i in 1 2 3; do echo line $i; done; touch said; trap 'exit 0' TERM; while :; do sleep 0.2; done",
]
SAID = {"exec": {"command": ["test", "-e", "said"]}, "periodSeconds": 1}
"""Ready is what has said its first words."""
ECHO = ["sh", "-c", "while read line; do echo got $line; done"]
WEB = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\\n")
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
SERVER = container(
    command=["python3", "-c", WEB],
    ports=[{"containerPort": 8080}],
    readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
)
READY = Has("v1/pods/web", {"status.containerStatuses.0.ready": True})
RUNS = (Make(pod("web", container(command=LINES, readinessProbe=SAID))), READY)
BOTH = (
    Make(pod("web", container("a", readinessProbe=SAID), container("b", readinessProbe=SAID))),
    READY,
    Has("v1/pods/web", {"status.containerStatuses.1.ready": True}),
)
DRAINED = (Make(pod("web", labels={"app": "{ns}"})), READY)
SERVES = (Make(pod("web", SERVER)), READY)
MINE = "--pod-selector=app={ns} --force --ignore-daemonsets --delete-emptydir-data"

LOGS: tuple[Case, ...] = (
    case(
        "logs", *RUNS, Do("logs web", r"^line 1\nline 2\nline 3\n$"), Do("logs none", r'pods "none" not found', code=1)
    ),
    case("logs --tail", *RUNS, Do("logs web --tail=1", r"^line 3\n$")),
    case(
        "logs --since --timestamps",
        *RUNS,
        Do("logs web --since=1h --timestamps", r"^20\d\d-\d\d-\d\dT\S+Z line 1\n"),
        Do("logs web --since-time=2020-01-01T00:00:00Z", r"^line 1\n"),
        Do("logs web --since-time=2200-01-01T00:00:00Z", r"^$"),
    ),
    case("logs --limit-bytes", *RUNS, Do("logs web --limit-bytes=6", r"^line 1$")),
    case(
        "logs -f",
        Make(pod("web", container(command=["sh", "-c", "echo one; sleep 1; echo two"]), restartPolicy="Never")),
        Has("v1/pods/web", {"status.phase": "Running"}),
        Begin("logs -f web", r"^one"),
        Sees(r"^two", ends=True),
    ),
    case(
        "logs --previous",
        Make(pod("web", container(command=["sh", "-c", "echo once; exit 1"]))),
        Has("v1/pods/web", {"status.containerStatuses.0.restartCount": 1}),
        Do("logs web --previous", r"^once\n"),
    ),
    case(
        "logs -c",
        *BOTH,
        Do("logs web -c b", r"^ready\n$"),
        Do("logs web -c none", r"container none is not valid for pod web", code=1),
    ),
    case(
        "logs --all-containers --prefix",
        *BOTH,
        Do("logs web --all-containers --prefix", r"(?=[\s\S]*\[pod/web/a\] ready\n)(?=[\s\S]*\[pod/web/b\] ready\n)"),
    ),
    case(
        "logs -l",
        Make(pod("web", container(command=LINES, readinessProbe=SAID), labels={"set": "x"})),
        READY,
        Do("logs -l set=x --tail=1", r"^line 3\n$"),
    ),
    case(
        "logs of a deployment",
        Make(deployment("web")),
        Has("apps/v1/deployments/web", {"status.readyReplicas": 1}),
        Do("logs deploy/web", r"ready\n"),
    ),
)

STREAMS: tuple[Case, ...] = (
    case(
        "exec",
        *RUNS,
        Do("exec web -- sh -c 'echo out; echo err >&2'", r"^out\nerr\n$"),
        Do("exec web -- sh -c 'exit 7'", r"exit code 7", code=7),
    ),
    case("exec -i", *RUNS, Do("exec -i web -- sh -c 'read x; echo got $x'", r"^got word\n", "word\n")),
    case(
        "exec -c",
        *BOTH,
        Do("exec web -c b -- echo out", r"^out\n"),
        Do("exec web -c none -- true", r"container.*none", code=1),
    ),
    case(
        "exec of what is not there",
        *RUNS,
        Do("exec web -- /no/such", r"(no such file|not found|exit code 12[67])", code=None),
    ),
    case(
        "attach",
        Make(pod("web", container(command=ECHO, stdin=True))),
        READY,
        Begin("attach -i web", r"", "word\n"),
        Sees(r"got word"),
    ),
    case(
        "cp to and fro",
        *RUNS,
        Do("cp some web:{ns}", r"^$", files={"some": "text\n"}),
        Do("exec web -- cat {ns}", r"^text\n"),
        Do("cp web:{ns} back", r""),
        Do("exec web -- rm {ns}"),
    ),
    case(
        "port-forward",
        *SERVES,
        Begin("port-forward pod/web :8080", r"Forwarding from 127\.0\.0\.1:(\d+) -> 8080"),
        Fetch("http://127.0.0.1:{1}/", r"^hello\n"),
    ),
    case(
        "proxy",
        Begin("proxy --port=0", r"Starting to serve on 127\.0\.0\.1:(\d+)"),
        Fetch("http://127.0.0.1:{1}/api/v1/namespaces/{ns}", r'"kind":"Namespace"'),
    ),
    case(
        "debug --copy-to",
        *RUNS,
        Do("debug web --copy-to=web-2 --container=extra --image=styr.dev/host -- sleep 60", r""),
        Has("v1/pods/web-2", {"spec.containers.1.name": "extra"}),
        since=24,
    ),
    case(
        "top pod",
        *RUNS,
        Do("top pod web", r"CPU\(cores\) +MEMORY\(bytes\)"),
    ),
    case("top node", Do("top node", r"CPU.*%[\s\S]*{node}")),
)

NODE: tuple[Case, ...] = (
    case(
        "cordon and uncordon",
        Do("cordon {node}", r"{node} cordoned"),
        Has("v1/nodes/{node}", {"spec.unschedulable": True}),
        Do("uncordon {node}", r"uncordoned"),
        Has("v1/nodes/{node}", {"spec.unschedulable": None}),
    ),
    case(
        "drain",
        *DRAINED,
        Do(f"drain {{node}} {MINE}", r"evicting pod {ns}/web[\s\S]*{node} (drained|evicted)"),
        Gone("v1/pods/web"),
        Do("uncordon {node}", r"uncordoned"),
    ),
    case(
        "drain --dry-run=server",
        *DRAINED,
        Do(f"drain {{node}} {MINE} --dry-run=server", r"dry run"),
        Has("v1/pods/web"),
    ),
    case(
        "drain --disable-eviction",
        *DRAINED,
        Do(f"drain {{node}} {MINE} --disable-eviction", r"{node} (drained|deleted)"),
        Gone("v1/pods/web"),
        Do("uncordon {node}", r"uncordoned"),
    ),
    case(
        "taint",
        Do("taint node {node} {ns}/k=v:PreferNoSchedule", r"tainted"),
        Has("v1/nodes/{node}", {"spec.taints.0": {"key": "{ns}/k"}}),
        Do("taint node {node} {ns}/k-", r"untainted"),
        Has("v1/nodes/{node}", {"spec.taints": None}),
    ),
    case(
        "label a node",
        Do("label node {node} {ns}=x", r"labeled"),
        Do("get nodes -l {ns}=x -o name", r"^node/{node}\n"),
        Do("label node {node} {ns}-", r"labeled"),
    ),
)

CASES = (*LOGS, *STREAMS, *NODE)
