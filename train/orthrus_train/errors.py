"""What goes wrong for reasons outside of this program."""


class TrainError(Exception):
    """A file, an option or a machine that cannot be used.

    The message names the file, the field, its value and what would be valid. It is all that a
    user sees: the command prints it and exits with 1.
    """
