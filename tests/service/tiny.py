"""A root repository with one small app in it: its code, its folder, prefect.yaml."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tandem.cli.deployments import document, wanted
from tandem.settings import Settings

SERVE = """
import http.server, json, os, signal, sys, threading

GREETING = "first"
model = json.load(open(os.path.join(os.environ["MODEL_DIR"], "model.json")))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"/answer": model["answer"], "/greeting": GREETING}.get(self.path, "ok")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("", int(sys.argv[1].rpartition(":")[2])), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
"""
TESTS = """
import time, unittest

class Tiny(unittest.TestCase):
    def test_it_is_whole(self):
        time.sleep(SECONDS)
        self.assertNotIn("BROKEN", open("serve.py").read())
"""
TOML = """
[source]
repository = "{repository}"
[test]
command = "python -m unittest -v"
[model]
store = "{store}"
name = "answers"
[image]
base = "{base}"
files = ["serve.py"]
command = ["python3", "serve.py", "{{listen}}"]
env = {{ MODEL_DIR = "{{model}}" }}
registry = "{registry}"
[verify]
ready = "/"
time_limit = "60s"
[[verify.request]]
path = "/answer"
json = {{ "" = 7 }}
within = "60s"
[hooks]
generic = {{ env = "HOOK" }}
[environments.staging]
target = "kubernetes://in-cluster/{namespace}"
follow = true
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: tiny}
spec:
  replicas: 1
  progressDeadlineSeconds: 180
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 100%}}
  selector: {matchLabels: {app: tiny}}
  template:
    metadata: {labels: {app: tiny}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 12
      containers:
        - name: app
          image: tiny
          ports: [{containerPort: 8000}]
          readinessProbe: {httpGet: {path: /, port: 8000}, timeoutSeconds: 10, failureThreshold: 10, periodSeconds: 1}
          resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 128Mi}}
          lifecycle: {preStop: {sleep: {seconds: 6}}} # nodes forget a pod some seconds after it was told to go
---
apiVersion: v1
kind: Service
metadata: {name: tiny}
spec:
  type: LoadBalancer
  selector: {app: tiny}
  ports: [{port: 80, targetPort: 8000}]
"""


@dataclass(frozen=True)
class Places:
    """What the app's app.toml names."""

    repository: str
    store: str
    base: str
    registry: str
    namespace: str


@dataclass(frozen=True)
class Root:
    """The root repository's work tree; `bare` is what the cluster clones."""

    folder: Path
    bare: Path

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
        command = ["git", "-C", str(self.folder), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def push(self, greeting: str, seconds: float = 0.0) -> str:
        """A commit that answers with this greeting, and whose tests take so long; its id."""
        self.commit(greeting, seconds)
        self.git("push", "-q", str(self.bare), "main")
        return self.git("rev-parse", "HEAD")

    def commit(self, greeting: str, seconds: float = 0.0) -> None:
        """That commit, still here."""
        (self.folder / "serve.py").write_text(SERVE.replace("first", greeting))
        (self.folder / "test_tiny.py").write_text(TESTS.replace("SECONDS", str(seconds)))
        self.git("add", "-A")
        self.git("commit", "-qm", f"Say {greeting}")


def make(folder: Path, bare: Path, places: Places) -> Root:
    """The repository, with no commit of the app's yet."""
    app = folder / "deployments" / "tiny"
    (app / "kubernetes").mkdir(parents=True)
    (app / "kubernetes" / "tiny.yaml").write_text(DEPLOYMENT)
    (app / "app.toml").write_text(TOML.format(**vars(places)))
    (folder / "prefect.yaml").write_text(document(wanted([Settings.load("tiny", folder)])))
    root = Root(folder, bare)
    root.git("init", "-q", "-b", "main")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(bare)], check=True)
    return root
