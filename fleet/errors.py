"""The two ways in which what a person or a vehicle hands in can be wrong."""


class InputError(ValueError):
    """Bad input by a person: a config value, a file, a folder.

    Its text is one line that names the field or the file and says what would be right. The command
    line prints that line and exits with status 2; it is never a bug of the program.
    """


class CampaignFailed(RuntimeError):
    """Something outside the program kept a campaign from ending: processes that die again and again.

    Its text is one line. What is done stays done; the command line exits with status 1.
    """


class BitstreamError(ValueError):
    """A bitstream that cannot be, or must not be, decoded.

    Its text is one line that names what is wrong with it. An upload that raises it is refused and
    kept aside; nothing else suffers.
    """
