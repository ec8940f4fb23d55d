"""Who sends hooks: the one table, by the name in POST /hooks/NAME and in app.toml's [hooks]."""

from collections.abc import Mapping

from tandem.triggers.senders.azure_devops import AzureDevOps
from tandem.triggers.senders.bitbucket import Bitbucket
from tandem.triggers.senders.call import Sender
from tandem.triggers.senders.event_grid import EventGrid
from tandem.triggers.senders.generic import Generic
from tandem.triggers.senders.gitea import Gitea
from tandem.triggers.senders.github import GitHub
from tandem.triggers.senders.gitlab import GitLab

SENDERS: Mapping[str, Sender] = {
    "github": GitHub(),
    "gitlab": GitLab(),
    "azure-devops": AzureDevOps(),
    "bitbucket": Bitbucket(),
    "gitea": Gitea(),
    "event-grid": EventGrid(),
    "generic": Generic(),
}
