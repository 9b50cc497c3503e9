"""Where a released checkpoint lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: `backbone`: the encoder alone. `full`: with heads, decoder or momentum encoder, and the optimizer.
Form = Literal['backbone', 'full']


@dataclass(frozen=True)
class HuggingFaceFile:
    """A file on Hugging Face.

    Attributes:
        form: What it holds.
        repository: Owner and name of the repository.
        file_name: Its name there and here.
        revision: Commit that holds it. The README links to `main` where it has no other.
        sha256_prefix: First digits of its SHA-256, where they are published.
    """

    form: Form
    repository: str
    file_name: str
    revision: str = 'main'
    sha256_prefix: str = ''

    @property
    def url(self) -> str:
        """Address of the file."""
        return f'https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.file_name}'


@dataclass(frozen=True)
class GoogleDriveFile:
    """A file on Google Drive.

    Attributes:
        form: What it holds.
        drive_id: Its identifier.
        file_name: Its name here.
        sha256_prefix: Empty: none is published.
    """

    form: Form
    drive_id: str
    file_name: str
    sha256_prefix: str = ''

    @property
    def url(self) -> str:
        """Address of its page."""
        return f'https://drive.google.com/file/d/{self.drive_id}/view'


ReleasedFile = HuggingFaceFile | GoogleDriveFile
