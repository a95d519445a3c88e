"""What can go wrong, and whether a retry may succeed.

::

ImageScalerError
├── ConfigError                   the settings or renditions.toml cannot work
├── EventError                    the event is of no kind that is known here
├── RejectedError                 the source can never be processed; no retry can succeed
│   ├── UnsupportedImageError     it is not an image, or not of a format that is read here
│   ├── DamagedImageError         it is an image, but its pixels cannot be decoded
│   ├── ImageTooLargeError        decoding it would cost more than the limits allow
│   ├── ArchivedObjectError       S3 has moved it to an archive, from which it must be restored first
│   ├── DestinationKeyError       S3 cannot store an object under the rendition's key
│   ├── SharedKeyError            the rendition's key belongs to another source
│   └── SourceInDestinationError  the source is in the destination bucket: its renditions would be uploads again
├── StorageError                  S3 or SQS refused or did not respond; a retry may succeed
│   ├── AccessDeniedError         the function's role does not allow the call
│   ├── ObjectNotFoundError       the object does not exist
│   └── PreconditionFailedError   the object is no longer the expected one
├── UnexpectedError               a defect of this package, or of a library; a retry may succeed
├── DeadlineExceededError         the function's time was over before all renditions were made
└── RetryError                    a source of an event failed; raised so that Lambda retries the event
"""

Field = tuple[str | int, ...]
"""The path of a field in renditions.toml, empty if there is none: `("rules", 1, "match")` is in the 2nd `[[rules]]`."""


class ImageScalerError(Exception):
    """The base of everything that this package raises on purpose."""

    code = "failed"
    """Names the reason for programs, in records, events and the log: docs/upload.md lists them. Never change one."""

    def as_json(self) -> dict[str, str]:
        """Return the error as records, events and the log have it."""
        return {"code": self.code, "type": type(self).__name__, "text": str(self)}


class ConfigError(ImageScalerError):
    """The settings or renditions.toml cannot work; the message is one sentence that names the field.

    As text it begins with its place, if that is known: `renditions.toml:12: expected an integer from 1 to ...`.
    """

    file: str | None = None
    line: int | None = None
    """From 1, as the column; None if the mistake is not in a text."""
    column: int | None = None

    def __init__(self, message: str, field: Field = ()) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.mistakes: tuple[ConfigError, ...] = (self,)
        """The error itself, and what else is wrong."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else self.message

    def at(self, file: str, line: int, column: int = 1) -> "ConfigError":
        """Set the place of the mistake; return the same error."""
        self.file, self.line, self.column = file, line, column
        return self

    @staticmethod
    def raise_all(*mistakes: "ConfigError") -> None:
        """Raise the first mistake, which has them all; do nothing if there is none."""
        if mistakes:
            mistakes[0].mistakes = mistakes
            raise mistakes[0]


class EventError(ImageScalerError):
    """The event is of no kind that is known here; the message says what was expected."""

    code = "unknown_event"


class RejectedError(ImageScalerError):
    """The source can never be processed: no retry can succeed."""

    def __init__(self, message: str, detail: str = "", *, code: str | None = None) -> None:
        """`code`: None for that of the class."""
        super().__init__(message)
        self.detail = detail
        """What the library said, for the log."""
        self.code = code or self.code


class UnsupportedImageError(RejectedError):
    """The source is not an image, or not of a format that is read here."""

    code = "unsupported"


class DamagedImageError(RejectedError):
    """The source is an image, but its pixels cannot be decoded."""

    code = "damaged"


class ImageTooLargeError(RejectedError):
    """Decoding the source would cost more than the limits allow."""

    code = "too_many_pixels"


class ArchivedObjectError(RejectedError):
    """The source is in an archive of S3 (Glacier): it must be restored before it can be read."""

    code = "archived"


class DestinationKeyError(RejectedError):
    """S3 cannot store an object under the rendition's key."""

    code = "invalid_key"


class SharedKeyError(RejectedError):
    """The rendition's key belongs to another source."""

    code = "shared_key"

    def __init__(self, message: str, owner: str) -> None:
        super().__init__(message)
        self.owner = owner
        """The key of the other source."""


class SourceInDestinationError(RejectedError):
    """The source is in the destination bucket: its renditions would be uploads again."""

    code = "in_destination"


class StorageError(ImageScalerError):
    """S3 or SQS refused or did not respond: a retry may succeed."""


class ObjectNotFoundError(StorageError):
    """The object does not exist."""

    code = "not_found"


class AccessDeniedError(StorageError):
    """The function's role does not allow the call."""

    code = "access_denied"


class PreconditionFailedError(StorageError):
    """The object is no longer the expected one: its ETag has changed."""


class UnexpectedError(ImageScalerError):
    """A defect of this package, or of a library; the cause is the exception itself. A retry may succeed."""


class DeadlineExceededError(ImageScalerError):
    """The function's time was over before all renditions were made; a retry has the full time."""

    code = "timeout"


class RetryError(ImageScalerError):
    """A source of an event failed: raised after all others are done, so that Lambda retries the event."""
