"""What can go wrong, and whether a retry may mend it.

::

ImageScalerError
├── ConfigError                 the settings or renditions.toml cannot work
├── EventError                  the event is of no kind that is known here
├── RejectedError               this source can never be processed; no retry can mend it
│   ├── UnsupportedImageError   it is not an image, or not of a format that is read here
│   ├── DamagedImageError       it is an image, but its pixels cannot be decoded
│   ├── ImageTooLargeError      decoding it would cost more than the limits allow
│   ├── DestinationKeyError     S3 cannot store an object under the rendition's key
│   └── LoopError               the source is in the destination bucket
├── StorageError                S3 or SQS refused or did not answer; a retry may mend it
│   ├── ObjectNotFoundError     there is no such object
│   └── PreconditionFailedError the object is no longer the one that was meant
├── UnforeseenError             what nobody thought of; a retry may mend it
├── OutOfTimeError              the function's time was over before all was made
└── RetryError                  some source of an event failed; raised so that Lambda retries the event
"""


class ImageScalerError(Exception):
    """Anything that this package raises on purpose."""


class ConfigError(ImageScalerError):
    """The settings or renditions.toml cannot work; the message is one sentence that names the field."""


class EventError(ImageScalerError):
    """The event is of no kind that is known here; the message says what was expected."""


class RejectedError(ImageScalerError):
    """The source can never be processed: no retry can mend it."""


class UnsupportedImageError(RejectedError):
    """The source is not an image, or not of a format that is read here."""


class DamagedImageError(RejectedError):
    """The source is an image, but its pixels cannot be decoded."""


class ImageTooLargeError(RejectedError):
    """Decoding the source would cost more than the limits allow."""


class DestinationKeyError(RejectedError):
    """S3 cannot store an object under the rendition's key."""


class LoopError(RejectedError):
    """The source is in the destination bucket: its renditions would be sources again."""


class StorageError(ImageScalerError):
    """S3 or SQS refused or did not answer: a retry may mend it."""


class ObjectNotFoundError(StorageError):
    """There is no such object."""


class PreconditionFailedError(StorageError):
    """The object is no longer the one that was meant: its ETag has changed."""


class UnforeseenError(ImageScalerError):
    """What nobody thought of went wrong with a source; its cause is the exception itself. A retry may mend it."""


class OutOfTimeError(ImageScalerError):
    """The function's time was over before all renditions were made; a retry has the whole time again."""


class RetryError(ImageScalerError):
    """Some source of an event failed: raised after all others are done, so that Lambda retries the event."""
