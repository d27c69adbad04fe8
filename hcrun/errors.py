"""The exceptions and the exit statuses."""

# The exit statuses of hcrun itself; every other status is the command's own.
EXIT_TIMEOUT = 124  # as timeout(1)
EXIT_USAGE = 125  # as env(1), nohup(1), timeout(1)
EXIT_NOT_EXECUTABLE = 126  # as POSIX sh
EXIT_NOT_FOUND = 127  # as POSIX sh
EXIT_SIGNAL = 128  # plus the signal's number, as POSIX sh
EXIT_SKIPPED = 75  # EX_TEMPFAIL of sysexits.h: not now, try again later


class HcrunError(Exception):
    """What is wrong, where (file, key, flag), and what to do next."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.hint}" if self.hint else text


class UsageError(HcrunError, ValueError):
    """The command line, or an argument of a function, is wrong; nothing was run."""

    exit_code = EXIT_USAGE


class SettingsError(HcrunError):
    """A variable, an env file or a credential is wrong."""


class JournalError(HcrunError):
    """The journal cannot be used: read-only, full, locked, corrupt, wrong owner."""


class CatalogError(HcrunError):
    """checks.toml cannot be read, or has a wrong value."""

    problems: "tuple[CatalogError, ...]" = ()  # if there are several; each is a line of the text

    @classmethod
    def of(cls, problems: "list[CatalogError]") -> "CatalogError":
        """All errors as one."""
        if len(problems) == 1:
            return problems[0]
        error = cls("\n".join(map(str, problems)))
        error.problems = tuple(problems)
        return error


class ApiError(HcrunError):
    """The Management API refused or failed; `status` is the HTTP status, 0 without an answer."""

    def __init__(self, what: str, *, status: int = 0, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status
