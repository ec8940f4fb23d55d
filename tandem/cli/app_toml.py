"""The app.toml that `tandem init` writes: every key, explained in the reference's own words."""

from tandem.cli.survey import Survey, quoted

TEXT = """\
# How {app} is tested, built and released. Written by 'tandem init' from what the repository holds: correct it freely.
# Keys that are commented out show their default. No secret stands here: `credentials` names where one is.
# Times are seconds or texts like "90s", "10m", "2h", "7d". Relative paths start at the folder that holds deployments/.

[source]
repository = "."               # "." is this repository; else a git URL: https://…, ssh://…, git@host:path, file:///…
branch = {branch}                # the app's line of history: first parents of this branch, newest first
# paths = []                   # only commits that touch these are new to this app; [] means every commit
# credentials = {{ env = "GIT_TOKEN" }}   # or {{ block = "secret/git-token" }}: a token for a private https repository
# status = {{ env = "GITHUB_TOKEN" }}     # a token that may write statuses: each commit shows how it went; docs/commit-statuses.md
# forge = "github"             # github, gitlab, azure-devops, bitbucket, gitea; known by itself for their own hosts
# api = "https://git.example.org/api/v3"   # the forge's API, where it is not where the forge has it by default

[test]                         # the app's own tests, run before anything is built
command = {test_command}   # one command line, or a list of words; not run by a shell
# where = "here"               # "image": by an engine, in a container of the very image, which has no network; docs/source-and-tests.md
requirements = {test_requirements}   # installed into a virtual environment of their own
# time_limit = "10m"           # then the whole process group is killed, and the tests have failed
# model = false                # put the model's files on disk and their folder into MODEL_DIR
# variables = []               # names of environment variables that the tests may see; all others are withheld

[model]
store = "file://.tandem/models"   # file:///path; azure-blob:https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX; s3://bucket/prefix
name = {app_quoted}
# newest = "published"         # "published": what 'tandem publish' stored last; "modified": what lies there, last changed
# require = []                 # over the metrics that the publisher gave; a model that fails one never rides
# formats = ["onnx", "safetensors", "json", "txt"]   # what may ride: formats that hold no code; name others at your own risk
{model_path}              # where the model's files stand in the image
# credentials = {{ block = "azure-blob-storage-credentials/models" }}   # default: the environment's or the cloud's identity

[image]
# builder = "assemble"         # "assemble": base + wheels + files, no daemon; "docker": your Dockerfile, by a Docker daemon
base = "none"                  # an image by digest, or "none": this machine's Python, and only the process: target
{requirements}   # hash-locked for images that are the same bit for bit; an unlocked file works too
files = ["**"]                 # the app's files, .dockerignore honoured; they keep their paths below workdir
# {{model}}, {{port}} and {{listen}} stand for the model's folder, the port, and fd://N or 0.0.0.0:PORT
command = {command}
env = {env}
# workdir = "/app"
# user = 10001                 # a numeric user id, not root's
port = {port}
# platform = "linux/amd64"     # or linux/arm64
# dockerfile = "Dockerfile"    # for builder = "docker": its USER and WORKDIR hold, its CMD where no command stands above
# secrets = {{ pip = {{ env = "PIP_CONF" }} }}   # for builder = "docker": RUN --mount=type=secret,id=pip
# engine = "docker-host/NAME"  # a prefect-docker block; without it, DOCKER_HOST or this machine's Docker, where there is one
registry = {registry}   # oci:folder, or host[:port]/repository
# credentials = {{ block = "docker-registry-credentials/acr" }}

[verify]                       # how Tandem knows, from outside, that the app works: on each image, and on each release
ready = {ready}   # answers 200 when the app can serve
# time_limit = "60s"           # from start to ready

# A request and what makes its answer right: one that only the right model answers rightly finds the most.
# [[verify.request]]
# path = "/score"
# body = {{ input = "…" }}
# status = 200
# json = {{ "/result/0" = "7" }}   # JSON Pointers (RFC 6901) into the answer, and what must stand there
# contains = "text"            # a text that the answer's body must hold
# within = "10s"

# [messages]                   # who hears of what: docs/messages.md
# to = [{{ env = "TEAM_CHAT" }}, {{ block = "slack-webhook/team" }}]   # each an Apprise URL (slack://…, mailtos://…), or a Prefect block
# author = {{ env = "SMTP" }}    # an Apprise URL mailtos://…: who wrote the commit hears that its integrate failed
# on = ["integrate failed", "released", "rolled back", "release failed", "approval wanted", "nightly late", "trouble"]

# [hooks]                      # who may say that something changed, and the receiver's variable with the secret: docs/webhooks.md
# github = {{ env = "GITHUB_HOOK_SECRET" }}   # github, gitlab, azure-devops, bitbucket, gitea, event-grid, generic

[environments.local]
target = "process:"            # process:; docker: (this machine's engine, any image); kubernetes://CONTEXT/NAMESPACE; aks://SUBSCRIPTION/GROUP/CLUSTER/NAMESPACE
address = "127.0.0.1:8080"     # process: and docker: where the app answers; taken by another program: the next free port, and it says so
# after = "staging"            # only what was verified in that environment may come here
# follow = true                # released to as soon as a newer candidate may come here, and not only by the nightly schedule
# approval = true              # a person must approve each candidate first
# approval_expires = "7d"      # for how long an approval holds: a release that has not begun by then asks again
# freeze = ["2026-12-24..2027-01-02", "Fri 15:00..Mon 06:00"]   # when nothing is released by itself: both days within; every week
# timezone = "UTC"             # of freeze: an IANA name such as "Europe/Berlin"; the nightly's own stands in prefect.yaml
# [[environments.local.verify.request]]   # requests beyond those above, for this environment only
# path = "/version"
# [environments.local.verify]
# soak = "0s"                  # how long to go on asking after that: 150 requests at least, and no restart of the app meanwhile

# On Kubernetes the app's own YAML stands beside this file in kubernetes/, and what only this environment has in
# kubernetes/staging/: docs/kubernetes.md, docs/aks.md. The image must have a base there.
# [environments.staging]
# target = "kubernetes://CONTEXT/NAMESPACE"   # a context of the kubeconfig, or in-cluster
# pull_secret = false          # true: make a pull secret of the registry's credentials; false: the cluster may pull by itself
# dns_label = "digits"         # Azure: LABEL.LOCATION.cloudapp.azure.com is to lead to the load balancer's address
# location = "westeurope"      # its region; aks: asks Azure where this is left out
# resolver = "10.0.0.10"       # a DNS server to ask instead of this machine's
"""


def text(found: Survey) -> str:
    """deployments/APP/app.toml for what was found."""
    requirements = f"requirements = {quoted(found.requirements)}" if found.requirements else '# requirements = "…"'
    pairs = ", ".join(f"{name} = {quoted(value)}" for name, value in found.env.items())
    return TEXT.format(
        app=found.app,
        app_quoted=quoted(found.app),
        branch=quoted(found.branch),
        test_command=quoted(found.test_command),
        test_requirements=quoted(list(found.test_requirements)),
        requirements=requirements,
        command=quoted(list(found.command)),
        env=f"{{ {pairs} }}" if pairs else "{}",
        port=found.port,
        registry=quoted(f"oci:.tandem/registry/{found.app}"),
        ready=quoted(found.ready),
        model_path=f"path = {quoted(found.model_path)}" if found.model_path else '# path = "/model"',
    )
