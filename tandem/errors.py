"""Every error that Tandem raises on purpose.

    TandemError
    ├── UsageError              the person asked for something that cannot be: exit code 2
    │   ├── SettingsError       app.toml: file, key, what is allowed
    │   └── Refused             a rule forbids it (blocked, superseded, not admitted): says which and how to lift it
    ├── SourceError             git: no such ref, no access, hostile URL
    ├── SuiteFailed             the app's own tests failed, hung, or executed nothing
    ├── ModelError
    │   ├── ModelNotFound       no such model or version in the store
    │   ├── ModelRefused        format not allowed, a disguise, or `require` not met
    │   └── ModelDamaged        bytes do not match the model manifest, or changed meanwhile
    ├── BuildFailed             the app image could not be made
    ├── RegistryError
    │   ├── NotInRegistry       no such manifest or blob
    │   └── DigestMismatch      bytes do not hash to the digest they go by
    ├── ImageFailed             the image was tried by digest and does not work
    ├── Busy                    another living run holds the environment, or this run lost its hold on it
    ├── StateChanged            the compare-and-swap lost: somebody else released meanwhile
    ├── ReleaseFailed           carries `fault`, `reason`, `log`: what blame needs
    └── Unreachable             a service did not answer: worth retrying (`retry_after` seconds, or None)

Each message says what failed, on what, and what to do about it.
"""

from typing import Literal

Fault = Literal["candidate", "environment"]


class TandemError(Exception):
    """Anything that Tandem raises on purpose; its text is meant for a person."""


class UsageError(TandemError):
    """The request itself is wrong; nothing was changed."""


class SettingsError(UsageError):
    """app.toml does not say what it must; names file, key and what is allowed."""


class Refused(UsageError):
    """A rule of Tandem's forbids this; says which one and how to lift it."""


class SourceError(TandemError):
    """git could not give what was asked for."""


class SuiteFailed(TandemError):
    """The app's own tests did not pass; `report` is the SuiteReport where they began."""

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class ModelError(TandemError):
    """Something about a model is not as it must be."""


class ModelNotFound(ModelError):
    """The store has no such model, or no such version of it."""


class ModelRefused(ModelError):
    """The model may not ride: its format, a disguise, or `require`."""


class ModelDamaged(ModelError):
    """The bytes are not those of the model manifest."""


class BuildFailed(TandemError):
    """The app image could not be made."""


class RegistryError(TandemError):
    """A registry answered, and not with what was needed."""


class NotInRegistry(RegistryError):
    """No such image manifest or blob."""


class DigestMismatch(RegistryError):
    """Bytes do not hash to the digest they go by."""


class ImageFailed(TandemError):
    """The image was started by its digest and does not do what app.toml's [verify] asks."""


class Busy(TandemError):
    """Another living run holds this environment, or this run lost its hold on it."""


class StateChanged(TandemError):
    """An environment's state was changed by somebody else since it was read."""


class ReleaseFailed(TandemError):
    """A candidate did not come up in an environment, or did not verify.

    `fault` says whose fault that is: the "candidate" (crashed, never ready, wrong answers) or the
    "environment" (image unreachable, no room, no permission). `log` holds the app's last lines.
    """

    def __init__(self, reason: str, fault: Fault, log: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.fault: Fault = fault
        self.log = log


class Unreachable(TandemError):
    """A service could not be reached or asked to be left alone; the same call may succeed later."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
